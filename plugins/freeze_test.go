package plugins

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// cpuOf is what the processes of a tree have used, and how many they are.
func cpuOf(t testing.TB, id string) (total time.Duration, count int) {
	t.Helper()
	for _, p := range livesOf(t, id) {
		total, count = total+p.CPU, count+1
	}
	return total, count
}

func TestAFrozenTreeUsesNoCPU(t *testing.T) {
	for _, session := range []int{0, 1} {
		t.Run(fmt.Sprintf("in %d other sessions", session), func(t *testing.T) {
			l, p := setup(t)
			s := script{Do: "tree", Text: busyScript, N: 3, Code: session, File: filepath.Join(t.TempDir(), "there")}
			a := launch(t, l, p, s, LaunchSpec{})
			appears(t, s.File)
			id := launchID(t, a)
			busy := func() {
				t.Helper()
				from, _ := cpuOf(t, id)
				eventually(t, "the tree is busy", 20*time.Second, func() bool { now, _ := cpuOf(t, id); return now > from })
			}
			for range 3 {
				busy()
				freeze(t, a)
				before, count := cpuOf(t, id)
				time.Sleep(500 * time.Millisecond) // time that passes is what is tested
				after, still := cpuOf(t, id)
				if used := after - before; used != 0 || count != still || count < 5 {
					t.Errorf("%d processes, then %d, used %s within 500ms while frozen", count, still, used)
				}
				a.Thaw(t.Context())
			}
			busy()
			a.Kill(skalds.ExitCancelled, "enough")
			a.end(t)
		})
	}
}

// What a tree does goes on as soon as it is thawed: within 10 ms, asserted at five times, beyond the gaps that this machine
// makes in what a tree does that is never frozen.
func TestAThawedTreeGoesOnAtOnce(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "beat"}, LaunchSpec{})
	control := launch(t, l, p, script{Do: "beat"}, LaunchSpec{})
	beats := func(a *attempt) int { a.mu.Lock(); defer a.mu.Unlock(); return len(a.lines) }
	eventually(t, "both beat", 20*time.Second, func() bool { return beats(a) > 10 && beats(control) > 10 })
	first := beats(control)
	var took []time.Duration
	for range 15 {
		freeze(t, a)
		was := -1
		eventually(t, "what it has said is read", 20*time.Second, func() bool { // two looks 2 ms apart see the same
			now := beats(a)
			defer func() { was = now }()
			return now == was
		})
		time.Sleep(20 * time.Millisecond) // of a frozen tree nothing comes
		if now := beats(a); now != was {
			t.Fatalf("%d beats of a frozen tree", now-was)
		}
		begin := time.Now()
		a.Thaw(t.Context())
		eventually(t, "it beats", 20*time.Second, func() bool { return beats(a) > was })
		took = append(took, a.said()[was].At.Sub(begin))
	}
	var gaps []time.Duration
	lines := control.said()[first:]
	for n := 1; n < len(lines); n++ {
		gaps = append(gaps, lines[n].At.Sub(lines[n-1].At))
	}
	slices.Sort(took)
	slices.Sort(gaps)
	median, longest, gap := took[len(took)/2], took[len(took)-1], gaps[len(gaps)-1]
	t.Logf("thaw → heartbeat: median %s, longest %s; longest gap of what is never frozen %s", median, longest, gap)
	if median > 5*10*time.Millisecond+gap {
		t.Errorf("half of the heartbeats came later than %s after the thaw, want 10ms (asserted at five times) beyond %s", median, gap)
	}
	for _, a := range []*attempt{a, control} {
		a.Kill(skalds.ExitCancelled, "enough")
		a.end(t)
	}
}

// A tree that is over a limit is killed though it is frozen. It gets there because nobody watches it before.
func TestLimitsHoldWhileFrozen(t *testing.T) {
	_, p := setup(t)
	for name, tc := range map[string]struct {
		script script
		limits skalds.Limits
		over   func(t *testing.T, a *attempt)
		want   []string
	}{
		"memory": {script{Do: "hold", Bytes: 200 << 20}, skalds.Limits{MemoryBytes: 128 << 20}, func(t *testing.T, a *attempt) {
			own, err := procstats.Read(a.PID())
			if err != nil {
				t.Fatal(err)
			}
			m := procstats.NewMeter(own.ID)
			defer m.Close()
			eventually(t, "it is over its limit", 20*time.Second, func() bool { return m.Charged() >= 200<<20 })
		}, []string{"memory", "limit is 128 MiB"}},
		"processes": {script{Do: "fork"}, skalds.Limits{PIDs: 2}, func(t *testing.T, a *attempt) {
			children(t, a.file)
		}, []string{"processes", "limit is 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(t.TempDir(), "run"), SampleEvery: 100 * time.Millisecond}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			over := make(chan error, 1)
			run := func() { over <- l.Run(ctx) }
			if e := l.Enforcement(); e.Memory.Mechanism != skalds.MechanismWatchdog || e.PIDs.Mechanism != skalds.MechanismWatchdog {
				cancel()
				run()
				t.Skip("the kernel holds the limits here: nobody gets over them")
			}
			file := filepath.Join(t.TempDir(), "pids")
			tc.script.File = file
			a := launch(t, l, p, tc.script, LaunchSpec{Limits: tc.limits, StartTimeout: time.Minute})
			a.file = file
			tc.over(t, a)
			freeze(t, a)
			id := launchID(t, a)
			go run()
			if x := a.end(t); x.Kind != skalds.ExitLimit || !contains(x.Message, tc.want...) {
				t.Errorf("got %s", shown(x))
			}
			if left := livesOf(t, id); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
			cancel()
			if err := <-over; err != nil {
				t.Error(err)
			}
		})
	}
}

// A frozen tree, part of it in a session of its own, dies of one kill.
func TestAFrozenTreeCanBeKilled(t *testing.T) {
	l, p := setup(t)
	s := script{Do: "tree", Text: busyScript, N: 3, Code: 1, File: filepath.Join(t.TempDir(), "there")}
	a := launch(t, l, p, s, LaunchSpec{})
	appears(t, s.File)
	id := launchID(t, a)
	freeze(t, a)
	begin := time.Now()
	a.Kill(skalds.ExitLeaseLost, "the lease is lost")
	<-a.Done()
	took := time.Since(begin)
	t.Logf("took %s", took)
	if left := livesOf(t, id); len(left) > 0 || took > 5*time.Second {
		t.Errorf("after %s: %+v", took, left)
	}
	if x := a.end(t); x.Kind != skalds.ExitLeaseLost || x.Signal != killed {
		t.Errorf("got %s", shown(x))
	}
}

// A task that is stopped while it is being frozen hears of it: its hooks run.
func TestStopBesideAFreeze(t *testing.T) {
	l, p := setup(t)
	for range 10 {
		a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
		frozen := make(chan error, 1)
		go func() { frozen <- a.Freeze(context.Background()) }()
		go func() { <-a.over; a.Leave() }() // as a host does after the last word
		if err := a.Stop(t.Context(), "cancelled", 20*time.Second); err != nil {
			t.Fatal(err)
		}
		<-frozen
		if x := a.end(t); x.Kind != skalds.ExitCancelled || a.finished == nil {
			t.Errorf("got %+v, last word %v", x, a.finished)
		}
		if err := a.Freeze(t.Context()); err == nil {
			t.Error("one that was stopped is frozen")
		}
	}
}
