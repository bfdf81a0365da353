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
	growing := skalds.RetryFor(skalds.Retry{OOM: &skalds.OOMRetry{Factor: 2, MaxMemoryBytes: 300}}, false, -1)
	crash := skalds.Exit{Kind: skalds.ExitSignal}
	tooMuch, oom := skalds.Exit{Kind: skalds.ExitLimit, Limit: skalds.LimitMemory}, skalds.Exit{Kind: skalds.ExitOOM}
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
			restartDecision{Action: restartAgain, State: restartState{BudgetUsed: 1, Row: 1, Streak: 1}},
		},
		"second waits the initial delay": {
			unlimited,
			restartState{BudgetUsed: 1, Row: 1, Streak: 1},
			restartInput{Exit: crash, Jitter: 0.5},
			restartDecision{Action: restartAgain, Delay: time.Second, State: restartState{BudgetUsed: 2, Row: 2, Streak: 2}},
		},
		"fifth waits eight times as long": {
			unlimited,
			restartState{BudgetUsed: 4, Row: 4, Streak: 4},
			restartInput{Exit: crash, Jitter: 0.5},
			restartDecision{Action: restartAgain, Delay: 8 * time.Second, State: restartState{BudgetUsed: 5, Row: 5, Streak: 5}},
		},
		"the delay is capped": {
			unlimited,
			restartState{BudgetUsed: 90, Row: 90, Streak: 90},
			restartInput{Exit: crash, Jitter: 0.5},
			restartDecision{Action: restartAgain, Delay: time.Minute, State: restartState{BudgetUsed: 91, Row: 91, Streak: 91}},
		},
		"jitter shortens": {
			unlimited,
			restartState{BudgetUsed: 1, Row: 1, Streak: 1},
			restartInput{Exit: crash, Jitter: 0},
			restartDecision{Action: restartAgain, Delay: 750 * time.Millisecond, State: restartState{BudgetUsed: 2, Row: 2, Streak: 2}},
		},
		"a minute of health forgets the back-off, not the budget": {
			unlimited,
			restartState{BudgetUsed: 6, Row: 6, Streak: 6},
			restartInput{Exit: crash, Healthy: time.Minute},
			restartDecision{Action: restartAgain, State: restartState{BudgetUsed: 7, Row: 1, Streak: 1}},
		},
		"the budget is spent": {
			three,
			restartState{BudgetUsed: 2, Row: 2, Streak: 2},
			restartInput{Exit: crash},
			restartDecision{Action: restartFail, State: restartState{BudgetUsed: 3, Row: 3, Streak: 2}},
		},
		"the budget is spent before the task moves": {
			three,
			restartState{BudgetUsed: 2, Row: 2, Streak: 2},
			restartInput{Exit: crash, CanMove: true},
			restartDecision{Action: restartFail, State: restartState{BudgetUsed: 3, Row: 3, Streak: 2}},
		},
		"three in a row move": {
			unlimited,
			restartState{BudgetUsed: 2, Row: 2, Streak: 2},
			restartInput{Exit: crash, CanMove: true},
			restartDecision{Action: restartGiveBack, Gone: goneMove, State: restartState{BudgetUsed: 3, Row: 3, Streak: 2}},
		},
		"three in a row stay on an edge node": {
			unlimited,
			restartState{BudgetUsed: 2, Row: 2, Streak: 2},
			restartInput{Exit: crash, Jitter: 0.5},
			restartDecision{Action: restartAgain, Delay: 2 * time.Second, State: restartState{BudgetUsed: 3, Row: 3, Streak: 3}},
		},
		"infrastructure does not count": {
			three,
			restartState{BudgetUsed: 2, Row: 2, Streak: 0},
			restartInput{Exit: skalds.Exit{Kind: skalds.ExitHostRestart}, CanMove: true},
			restartDecision{Action: restartAgain, State: restartState{BudgetUsed: 2, Row: 2, Streak: 1}},
		},
		"permanent ends at once": {
			unlimited,
			restartState{},
			restartInput{Exit: skalds.Exit{Kind: skalds.ExitError, Permanent: true}, CanMove: true},
			restartDecision{Action: restartFail, State: restartState{BudgetUsed: 1}},
		},
		"without a budget for memory, it counts like all": {
			three,
			restartState{},
			restartInput{Exit: tooMuch, MemoryLimit: 100, FirstLimit: 100, MemoryRoom: 1000},
			restartDecision{Action: restartAgain, State: restartState{BudgetUsed: 1, Row: 1, Streak: 1}},
		},
		"over its limit: the next one is higher, at once, and nothing else is counted": {
			growing,
			restartState{BudgetUsed: 1},
			restartInput{Exit: tooMuch, CanMove: true, MemoryLimit: 100, FirstLimit: 100, MemoryRoom: 200},
			restartDecision{Action: restartAgain, State: restartState{BudgetUsed: 1, Streak: 1, MemoryFailures: 1, MemoryLimit: 200}},
		},
		"again, up to the cap and after a back-off": {
			growing,
			restartState{Streak: 1, MemoryFailures: 1, MemoryLimit: 200},
			restartInput{Exit: tooMuch, CanMove: true, Jitter: 0.5, MemoryLimit: 200, FirstLimit: 100, MemoryRoom: 1000},
			restartDecision{Action: restartAgain, Delay: time.Second, State: restartState{Streak: 2, MemoryFailures: 2, MemoryLimit: 300}},
		},
		"the budget for memory is spent": {
			growing,
			restartState{Streak: 2, MemoryFailures: 2, MemoryLimit: 300},
			restartInput{Exit: tooMuch, CanMove: true, MemoryLimit: 300, FirstLimit: 100, MemoryRoom: 1000},
			restartDecision{Action: restartFail, State: restartState{Streak: 2, MemoryFailures: 3, MemoryLimit: 300}},
		},
		"no limit on ends for memory": {
			skalds.RetryFor(skalds.Retry{OOM: &skalds.OOMRetry{MaxAttempts: skalds.Unlimited, Factor: 1}}, false, -1),
			restartState{MemoryFailures: 50},
			restartInput{Exit: tooMuch, CanMove: true, MemoryLimit: 100, FirstLimit: 100},
			restartDecision{Action: restartAgain, State: restartState{Streak: 1, MemoryFailures: 51}},
		},
		"this node has too little for the next one": {
			growing,
			restartState{},
			restartInput{Exit: tooMuch, CanMove: true, MemoryLimit: 100, FirstLimit: 100, MemoryRoom: 199},
			restartDecision{Action: restartGiveBack, Gone: goneMemory, State: restartState{MemoryFailures: 1, MemoryLimit: 200}},
		},
		"too little on an edge node: there is no other": {
			growing,
			restartState{},
			restartInput{Exit: tooMuch, MemoryLimit: 100, FirstLimit: 100, MemoryRoom: 199},
			restartDecision{Action: restartAgain, State: restartState{Streak: 1, MemoryFailures: 1, MemoryLimit: 200}},
		},
		"a limit that does not grow needs no more room": {
			growing,
			restartState{MemoryFailures: 1, MemoryLimit: 300},
			restartInput{Exit: tooMuch, CanMove: true, MemoryLimit: 300, FirstLimit: 100, MemoryRoom: 10},
			restartDecision{Action: restartAgain, State: restartState{Streak: 1, MemoryFailures: 2, MemoryLimit: 300}},
		},
		"the machine had no more: without a limit there is none to raise": {
			growing,
			restartState{},
			restartInput{Exit: oom, CanMove: true, MemoryRoom: 10},
			restartDecision{Action: restartAgain, State: restartState{Row: 1, Streak: 1, MemoryFailures: 1}},
		},
		"the machine had no more three times in a row: another node": {
			skalds.RetryFor(skalds.Retry{OOM: &skalds.OOMRetry{MaxAttempts: 9}}, false, -1),
			restartState{Row: 2, Streak: 2, MemoryFailures: 2},
			restartInput{Exit: oom, CanMove: true},
			restartDecision{Action: restartGiveBack, Gone: goneMove, State: restartState{Row: 3, Streak: 2, MemoryFailures: 3}},
		},
		"another limit is no end for memory": {
			growing,
			restartState{MemoryFailures: 1, MemoryLimit: 200},
			restartInput{Exit: skalds.Exit{Kind: skalds.ExitLimit, Limit: skalds.LimitPIDs}, MemoryLimit: 200, FirstLimit: 100},
			restartDecision{Action: restartAgain, State: restartState{BudgetUsed: 1, Row: 1, Streak: 1, MemoryFailures: 1, MemoryLimit: 200}},
		},
		"a minute of health forgets neither the budget for memory nor the limit": {
			growing,
			restartState{Streak: 5, MemoryFailures: 1, MemoryLimit: 200},
			restartInput{Exit: crash, Healthy: time.Minute, MemoryLimit: 200, FirstLimit: 100},
			restartDecision{Action: restartAgain, State: restartState{BudgetUsed: 1, Row: 1, Streak: 1, MemoryFailures: 1, MemoryLimit: 200}},
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
