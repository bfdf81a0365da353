package dispatch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
)

// joinPython makes a Python node known that takes up to two tasks.
func joinPython(l *Ledger, id string) {
	l.Original(id, 2)
	l.SetWorkers(id, []skalds.WorkerInfo{worker("python@0.3.8", demo(), skalds.ClassInfo{ClassName: "OnlyPython"})})
	l.Block(id, "", false)
}

func TestAPythonNodeIsTheLastChoice(t *testing.T) {
	for _, strategy := range []Strategy{Fit, Spread} {
		cfg := DefaultConfig()
		cfg.Strategy = strategy
		l := NewLedger(cfg)
		joinPython(l, "a")
		joinPython(l, "b")
		join(l, beat("z", func(hb *skalds.Heartbeat) { hb.Capacity.CPUCores = 0.02 })) // as bad as a node of ours can be
		place := func(id string, change ...func(*skalds.Task)) string {
			r := request(id, change...)
			v, _ := l.Place(&r, noon)
			return v.NodeID
		}
		if got := place("t"); got != "z" {
			t.Errorf("%s: placed on %q although a node of ours has room", strategy, got)
		}
		only := func(t *skalds.Task) { t.ClassName = "OnlyPython" }
		var got []string
		for i := range 5 {
			got = append(got, place(fmt.Sprint("p", i), only))
		}
		if strings.Join(got, " ") != "a b a b " {
			t.Errorf("%s: placed on %q: want the node with fewer tasks first, two on each", strategy, got)
		}
		r := request("p5", only)
		if why := Why(l.Explain(&r, noon)); !strings.Contains(why, "is a Python node and runs 2 of at most 2 tasks") {
			t.Errorf("why: %s", why)
		}
	}
}

func TestWhatAPythonNodeCannotDo(t *testing.T) {
	l := NewLedger(DefaultConfig())
	joinPython(l, "py")
	for want, change := range map[string]func(*skalds.Task){
		"":             func(*skalds.Task) {},
		"survive":      func(t *skalds.Task) { t.Survive = true },
		"limits":       func(t *skalds.Task) { t.Limits.PIDs = 7 },
		"isolate":      func(t *skalds.Task) { t.Isolation.User = "nobody" },
		"resources":    func(t *skalds.Task) { t.Resources.MemoryBytes = gib },
		"timeouts.run": func(t *skalds.Task) { t.Timeouts.Run = skalds.Duration(1) },
		"stall":        func(t *skalds.Task) { t.Timeouts.Stall = skalds.Duration(1) },
		"onDisconnect": func(t *skalds.Task) { t.OnDisconnect = skalds.OnDisconnectKeep },
		"constraint":   func(t *skalds.Task) { t.Constraints = []string{"gpu"} },
		"python@0.3.8": func(t *skalds.Task) { t.Version = "^1.2" },
	} {
		r := request("t", func(t *skalds.Task) { t.ClassName = "OnlyPython" }, change)
		v, ok := l.choose(&r, noon)
		why := Why(l.Explain(&r, noon))
		if ok != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%q: placed %v on %q, why %q", want, ok, v.NodeID, why)
		}
	}
	l.Original("py", 0)
	r := request("t", func(t *skalds.Task) { t.ClassName = "OnlyPython" })
	if why := Why(l.Explain(&r, noon)); !strings.Contains(why, "has not said yet what it has") {
		t.Errorf("one of ours in its place: %s", why)
	}
}

func TestWhatAPythonNodeCannotDoMakesALineOfItsOwn(t *testing.T) {
	a, b := request("a"), request("b", func(t *skalds.Task) { t.Timeouts.Stall = 1 })
	if a.Shape() == b.Shape() {
		t.Error("both ask for the same")
	}
}
