package host

import (
	"testing"

	"github.com/skalds-go/skalds"
)

// What a worker says right before its end is part of the end that is told, and so is how far one came that had to go.
func TestTheEndTellsHowFarATaskCame(t *testing.T) {
	b, _, _ := nodeHost(t)
	want := skalds.Progress{Percent: 100, Units: 1500, Unit: "frames"}
	progress := func(task string) skalds.Progress {
		p := b.last(task).Progress
		p.At = 0
		return p
	}
	b.send(command(scriptSpec("finishes", "Script", script{Do: "count", Text: "finish"}), 1, 1))
	eventually(t, "its end", soon, func() bool { return b.last("finishes").State == skalds.Finished })
	if got := progress("finishes"); got != want {
		t.Errorf("finished with %+v, want %+v", got, want)
	}
	c := command(scriptSpec("stays", "Script", script{Do: "count"}), 1, 1)
	b.send(c)
	eventually(t, "all frames", soon, func() bool { s, ok := b.live("stays"); return ok && s.Progress.Units == want.Units })
	b.send(gone(c, string(skalds.ExitCancelled), 2))
	eventually(t, "its end", soon, func() bool { return b.last("stays").State == skalds.Cancelled })
	if got := progress("stays"); got != want {
		t.Errorf("cancelled with %+v, want %+v", got, want)
	}
}

// An attempt that was taken away says why, and not only that it was stopped.
func TestWhatIsTakenAwaySaysWhy(t *testing.T) {
	b, _, _ := nodeHost(t)
	c := command(scriptSpec("a", "Script", script{Do: "wait"}), 1, 1)
	b.send(c)
	waitRunning(t, b, "a", 1)
	c = gone(c, string(skalds.ExitSuperseded), 2)
	c.Why = "the task belongs to node n2 now"
	b.send(c)
	eventually(t, "its record", soon, func() bool { return len(b.outcomes("a", skalds.OutcomeExit)) == 1 })
	if exit := b.outcomes("a", skalds.OutcomeExit)[0].Exit.Exit; exit.Kind != skalds.ExitSuperseded || exit.Message != c.Why {
		t.Errorf("%+v", exit)
	}
}
