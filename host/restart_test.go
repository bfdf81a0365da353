package host

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
)

func TestDecideRestart(t *testing.T) {
	unlimited := skalds.RetryFor(skalds.Retry{}, true, -1)
	three := skalds.RetryFor(skalds.Retry{}, false, -1)
	crash := skalds.Exit{Kind: skalds.ExitSignal}
	for name, c := range map[string]struct {
		retry skalds.Retry
		state restartState
		in    restartInput
		want  restartDecision
	}{
		"main returned nil": {
			three,
			restartState{BudgetUsed: 2},
			restartInput{Exit: skalds.Exit{Kind: skalds.ExitCompleted}},
			restartDecision{Action: restartFinish, State: restartState{BudgetUsed: 2}},
		},
		"first retry is immediate": {
			unlimited,
			restartState{},
			restartInput{Exit: crash, Jitter: 0.9},
			restartDecision{Action: restartAgain, State: restartState{1, 1, 1}},
		},
		"second waits the initial delay": {
			unlimited,
			restartState{1, 1, 1},
			restartInput{Exit: crash, Jitter: 0.5},
			restartDecision{Action: restartAgain, Delay: time.Second, State: restartState{2, 2, 2}},
		},
		"fifth waits eight times as long": {
			unlimited,
			restartState{4, 4, 4},
			restartInput{Exit: crash, Jitter: 0.5},
			restartDecision{Action: restartAgain, Delay: 8 * time.Second, State: restartState{5, 5, 5}},
		},
		"the delay is capped": {
			unlimited,
			restartState{90, 90, 90},
			restartInput{Exit: crash, Jitter: 0.5},
			restartDecision{Action: restartAgain, Delay: time.Minute, State: restartState{91, 91, 91}},
		},
		"jitter shortens": {
			unlimited,
			restartState{1, 1, 1},
			restartInput{Exit: crash, Jitter: 0},
			restartDecision{Action: restartAgain, Delay: 750 * time.Millisecond, State: restartState{2, 2, 2}},
		},
		"a minute of health forgets the back-off, not the budget": {
			unlimited,
			restartState{6, 6, 6},
			restartInput{Exit: crash, Healthy: time.Minute},
			restartDecision{Action: restartAgain, State: restartState{7, 1, 1}},
		},
		"the budget is spent": {
			three,
			restartState{2, 2, 2},
			restartInput{Exit: crash},
			restartDecision{Action: restartFail, State: restartState{3, 3, 2}},
		},
		"the budget is spent before the task moves": {
			three,
			restartState{2, 2, 2},
			restartInput{Exit: crash, CanMove: true},
			restartDecision{Action: restartFail, State: restartState{3, 3, 2}},
		},
		"three in a row move": {
			unlimited,
			restartState{2, 2, 2},
			restartInput{Exit: crash, CanMove: true},
			restartDecision{Action: restartGiveBack, State: restartState{3, 3, 2}},
		},
		"three in a row stay on an edge node": {
			unlimited,
			restartState{2, 2, 2},
			restartInput{Exit: crash, Jitter: 0.5},
			restartDecision{Action: restartAgain, Delay: 2 * time.Second, State: restartState{3, 3, 3}},
		},
		"infrastructure does not count": {
			three,
			restartState{2, 2, 0},
			restartInput{Exit: skalds.Exit{Kind: skalds.ExitHostRestart}, CanMove: true},
			restartDecision{Action: restartAgain, State: restartState{2, 2, 1}},
		},
		"permanent ends at once": {
			unlimited,
			restartState{},
			restartInput{Exit: skalds.Exit{Kind: skalds.ExitError, Permanent: true}, CanMove: true},
			restartDecision{Action: restartFail, State: restartState{BudgetUsed: 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, decideRestart(c.retry, c.state, c.in)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestBackOffStaysWithinItsBounds(t *testing.T) {
	r := skalds.RetryFor(skalds.Retry{}, true, -1)
	for streak := range 70 {
		for _, j := range []float64{0, 0.5, 0.999} {
			d := backOff(r, streak, j)
			if d < 0 || d > time.Duration(float64(r.MaxDelay)*1.25) {
				t.Fatalf("streak %d jitter %g: %s", streak, j, d)
			}
		}
	}
}
