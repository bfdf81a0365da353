package cli

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1 MiB", 128 << 20: "128 MiB", 31<<20 + 300<<10: "31 MiB",
		9<<30 + 1<<29: "9.5 GiB", 1 << 40: "1 TiB", math.MaxInt64: "8 EiB", -5: "-5 B",
	} {
		if got := sizeText(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := &commands{Env{Now: func() time.Time { return now }}}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m", 47 * time.Hour: "47h", 72 * time.Hour: "3d"} {
		if got := c.ageText(now.Add(-d).UnixMilli()); got != want {
			t.Errorf("the age of %s is %q, want %q", d, got, want)
		}
	}
	if c.ageText(0) != "" || c.clockText(0) != "" || c.timeText(0) != "" {
		t.Error("no time is shown as one")
	}
	for d, want := range map[time.Duration]string{0: "0ms", 340 * time.Millisecond: "340ms", 12345 * time.Millisecond: "12.3s", 59999 * time.Millisecond: "59.9s", 200 * time.Second: "3m20s", 125 * time.Minute: "2h5m"} {
		if got := spanText(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestExitWords(t *testing.T) {
	for want, e := range map[string]*skalds.Exit{
		"":                                    nil,
		"completed":                           {Kind: skalds.ExitCompleted},
		"exit (exit code 3)":                  {Kind: skalds.ExitExit, Code: 3},
		"signal (killed): by hand":            {Kind: skalds.ExitSignal, Code: -1, Signal: "killed", Message: "by hand"},
		"error: bad (no retry can cure it)":   {Kind: skalds.ExitError, Message: "bad", Permanent: true},
		"limit: memory 130 MiB, 128 allowed":  {Kind: skalds.ExitLimit, Message: "memory 130 MiB, 128 allowed"},
		"oom (killed): the kernel took it":    {Kind: skalds.ExitOOM, Code: -1, Signal: "killed", Message: "the kernel took it"},
		"start_timeout: no handshake in 10 s": {Kind: skalds.ExitStartTimeout, Message: "no handshake in 10 s"},
	} {
		if got := exitText(e); got != want {
			t.Errorf("%+v reads %q, want %q", e, got, want)
		}
	}
}

func TestShortenedTexts(t *testing.T) {
	for text, want := range map[string]string{"": "", "short": "short", "ünlaut": "ünlaut", "longer than": "longer…", "two\nlines": "two…"} {
		if got := shortened(text, 7); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	lines := strings.Repeat("a\n", 3)
	if tail, left := lastLines(lines+"b\nc\n", 2); tail != "b\nc" || left != 3 {
		t.Errorf("%q, %d before", tail, left)
	}
	if tail, left := lastLines("b\nc", 2); tail != "b\nc" || left != 0 {
		t.Errorf("%q, %d before", tail, left)
	}
}

// A task that its node could not even launch has not run, whatever its state is called.
func TestStateOfATaskThatHasNotBegun(t *testing.T) {
	task := api.TaskResponse{LifecycleStatus: skalds.Running, Phase: skalds.PhaseBackoff}
	if got := stateText(task); got != "Running (not begun)" {
		t.Error(got)
	}
	if task.Attempt = 1; stateText(task) != "Running (backoff)" {
		t.Error(stateText(task))
	}
}
