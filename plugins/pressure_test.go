package plugins

import (
	"context"
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
	}
	for name, looks := range map[string][]look{
		"below":                   {{0, 0.5, false}, {0, 0.79, false}},
		"at once":                 {{0, 0.8, true}},
		"again while above":       {{0, 0.85, true}, {4 * time.Second, 0.9, false}, {5 * time.Second, 0.9, true}, {9 * time.Second, 0.9, false}},
		"not while in between":    {{0, 0.85, true}, {6 * time.Second, 0.75, false}},
		"a wave above the line":   {{0, 0.81, true}, {time.Second, 0.75, false}, {2 * time.Second, 0.81, false}, {5 * time.Second, 0.81, true}},
		"again after it had gone": {{0, 0.81, true}, {time.Second, 0.69, false}, {2 * time.Second, 0.81, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var r relief
			start := time.Unix(1e9, 0)
			for n, l := range looks {
				got := r.due(l.share, start.Add(l.after))
				if got != l.want {
					t.Errorf("look %d: %v", n, got)
				}
				if got {
					if r.due(1, start.Add(l.after+time.Hour)) {
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
	if now := time.Now(); !a.relief.due(0.9, now) {
		t.Error("it is not asked")
	} else if a.relieve(t.Context(), 90, 100); a.relief.due(0.9, now.Add(time.Hour)) {
		t.Error("it is asked again")
	}
	if got := a.Pressures(); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
}
