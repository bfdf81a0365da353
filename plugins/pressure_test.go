package plugins

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

func TestWhenPressureIsDue(t *testing.T) {
	type look struct {
		after time.Duration
		share float64
		want  bool
		// stalls says that the tree waits for memory.
		stalls bool
	}
	for name, looks := range map[string][]look{
		"below":                   {{0, 0.5, false, false}, {0, 0.79, false, false}},
		"at once":                 {{0, 0.8, true, false}},
		"again while above":       {{0, 0.85, true, false}, {4 * time.Second, 0.9, false, false}, {5 * time.Second, 0.9, true, false}, {9 * time.Second, 0.9, false, false}},
		"not while in between":    {{0, 0.85, true, false}, {6 * time.Second, 0.75, false, false}},
		"a wave above the line":   {{0, 0.81, true, false}, {time.Second, 0.75, false, false}, {2 * time.Second, 0.81, false, false}, {5 * time.Second, 0.81, true, false}},
		"waits for memory":        {{0, 0.2, true, true}, {time.Second, 0.2, false, true}, {5 * time.Second, 0.2, true, true}, {6 * time.Second, 0.2, false, false}},
		"again after it had gone": {{0, 0.81, true, false}, {time.Second, 0.69, false, false}, {2 * time.Second, 0.81, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var r relief
			start := time.Unix(1e9, 0)
			for n, l := range looks {
				got := r.due(l.share, l.stalls, start.Add(l.after))
				if got != l.want {
					t.Errorf("look %d: %v", n, got)
				}
				if got {
					if r.due(1, false, start.Add(l.after+time.Hour)) {
						t.Errorf("look %d: a second call beside the first", n)
					}
					r.answered(nil, false)
				}
			}
		})
	}
}

func TestTheLastPressuresAreKept(t *testing.T) {
	var i Instance
	for n := range 12 {
		i.relief.answered(&skalds.Pressure{Bytes: int64(n)}, false)
	}
	if got := i.Pressures(); len(got) != 10 || got[0].Bytes != 2 || got[9].Bytes != 11 {
		t.Errorf("got %v", got)
	}
}

func TestPressureComesBeforeTheKill(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "hold", Bytes: 460 << 20}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 500 << 20}})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
	if peak := a.Peak().MemoryBytes; peak < int64(softShare*(500<<20)) {
		t.Errorf("peak %s", mib(peak))
	}
}

// awaitPressure waits for the first answer.
func awaitPressure(t *testing.T, a *attempt) skalds.Pressure {
	t.Helper()
	eventually(t, "pressure", 30*time.Second, func() bool { return len(a.Pressures()) > 0 })
	return a.Pressures()[0]
}

func TestPressureThatHelps(t *testing.T) {
	l, p := setup(t)
	const limit, cache = 500 << 20, 430 << 20
	a := launch(t, l, p, script{Do: "cache", Bytes: cache}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: limit}})
	got := awaitPressure(t, a)
	// It may be asked while the cache still grows, and has nothing to give then; it is asked again.
	for got.SaidBytes == 0 {
		seen := len(a.Pressures())
		eventually(t, "more pressure", 30*time.Second, func() bool { return len(a.Pressures()) > seen })
		got = a.Pressures()[seen]
	}
	if got.Level != "soft" || got.Bytes < (softShare-nearShare)*limit || got.Bytes > (1-nearShare)*limit || got.SaidBytes != cache {
		t.Errorf("got %+v", got)
	}
	if !got.Helped || got.ShrankBytes < cache/2 || time.Since(time.UnixMilli(got.At)) > time.Minute {
		t.Errorf("got %+v", got)
	}
}

// Who says that it gave something up is not believed.
func TestPressureThatDoesNotHelp(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "lie", Bytes: 430 << 20}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 500 << 20}})
	if got := awaitPressure(t, a); got.Helped || got.SaidBytes != got.Bytes || got.ShrankBytes > 50<<20 {
		t.Errorf("got %+v", got)
	}
}

func TestAWorkerWithoutTheHookIsNotAsked(t *testing.T) {
	l, p := setup(t)
	without := *p
	without.Info.Classes = slices.Clone(p.Info.Classes)
	for n := range without.Info.Classes {
		without.Info.Classes[n].Capabilities = []string{protocol.CapabilityUpdate}
	}
	limits := LaunchSpec{Limits: skalds.Limits{MemoryBytes: 500 << 20}}
	spared := launch(t, l, &without, script{Do: "hold", Bytes: 430 << 20}, limits)
	eventually(t, "much memory", 30*time.Second, func() bool { return spared.Peak().MemoryBytes > 400<<20 })
	asked := launch(t, l, p, script{Do: "hold", Bytes: 430 << 20}, limits)
	if x := asked.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
	select {
	case <-spared.over:
		t.Error("it was asked")
	default:
	}
	if got := spared.Pressures(); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
}

// deafWorker is of a class without the hook, in a plugin that has another class with it.
type deafWorker struct{ protocol.Worker }

func (deafWorker) Pressure(context.Context, protocol.PressureLevel, int64) (int64, error) {
	return 0, protocol.ErrUnsupported
}

func TestAClassWithoutTheHookIsAskedOnce(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	a.setWorker(deafWorker{a.Worker()}, a.conn)
	if now := time.Now(); !a.relief.due(0.9, false, now) {
		t.Error("it is not asked")
	} else if a.relieve(t.Context(), 90, 100, 0); a.relief.due(0.9, false, now.Add(time.Hour)) {
		t.Error("it is asked again")
	}
	if got := a.Pressures(); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
}

// A task that is far from its limit by what counts there can be short of memory all the same: what it reads does not fit.
func TestATreeThatWaitsForMemoryIsAskedToGiveSomeUp(t *testing.T) {
	l, p := setup(t)
	if !l.groups.holdsMemory() {
		t.Skip("no control group holds memory here")
	}
	dir, err := os.MkdirTemp("/var/tmp", "thrash-") // a disk, where there is one
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	a := launch(t, l, p, script{Do: "thrash", Bytes: 256 << 20, File: filepath.Join(dir, "file")}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 48 << 20}})
	if _, ok := a.group.Pressure(); !ok {
		t.Skip("the kernel does not say who waits for memory")
	}
	asked := func() bool { return len(a.Pressures()) > 0 }
	for deadline := time.Now().Add(20 * time.Second); !asked() && time.Now().Before(deadline); {
		if percent, _ := a.group.Pressure(); percent >= stallShare {
			eventually(t, "it is asked", 20*time.Second, asked)
		}
		select {
		case <-a.Done():
			t.Fatalf("got %+v", a.end(t))
		case <-time.After(50 * time.Millisecond):
		}
	}
	if !asked() {
		t.Skip("the disk is too fast: nobody had to wait")
	}
	if got := a.Pressures()[0]; got.StallPercent < stallShare || got.Bytes < 48<<20/10 || got.Level != "soft" {
		t.Errorf("got %+v", got)
	}
}
