package plugins

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

func setupDuty(t testing.TB) (*Launcher, *Plugin) {
	t.Helper()
	return setupWith(t, LauncherConfig{SampleEvery: time.Second, Cgroups: "off", CPUDutyCycle: new(true)})
}

// share is how many cores the processes of a tree use on average.
func share(t testing.TB, id string, d time.Duration) float64 {
	t.Helper()
	before, _ := cpuOf(t, id)
	began := time.Now()
	time.Sleep(d) // time that passes is what is tested
	after, _ := cpuOf(t, id)
	return (after - before).Seconds() / time.Since(began).Seconds()
}

func busy(t testing.TB, id string) {
	t.Helper()
	from, _ := cpuOf(t, id)
	eventually(t, "the tree is busy", 20*time.Second, func() bool { now, _ := cpuOf(t, id); return now > from })
}

// A tree keeps to its limit within 2 % of a core over 5 s, asserted at five times.
func TestTheDutyCycleHoldsCPULimits(t *testing.T) {
	notWithRaceDetector(t)
	for _, tc := range []struct {
		name   string
		script script
		cores  float64
	}{
		{"one thread", script{Do: "spin"}, 0.3},
		{"two threads", script{Do: "burn", N: 2}, 0.5},
		{"two threads, more than a core", script{Do: "burn", N: 2}, 1.2},
		{"a tree of four", script{Do: "tree", Text: busyScript, N: 3}, 0.4},
		{"a tree of four in another session", script{Do: "tree", Text: busyScript, N: 3, Code: 1}, 0.4},
		{"children that live shortly", script{Do: "spawn"}, 0.2},
		{"hardly anything", script{Do: "spin"}, 0.05},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, p := setupDuty(t)
			if tc.script.Do == "tree" {
				tc.script.File = filepath.Join(t.TempDir(), "there")
			}
			a := launch(t, l, p, tc.script, LaunchSpec{Limits: skalds.Limits{CPUCores: tc.cores}})
			id := launchID(t, a)
			if tc.script.File != "" {
				appears(t, tc.script.File)
			}
			busy(t, id)
			got := share(t, id, 5*time.Second)
			t.Logf("%.3f cores, the limit is %g", got, tc.cores)
			if got > tc.cores+5*0.02 {
				t.Errorf("%.3f cores, the limit is %g", got, tc.cores)
			}
			begin := time.Now()
			a.Kill(skalds.ExitCancelled, "enough")
			a.end(t)
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("the kill took %s", took)
			}
			if left := livesOf(t, id); len(left) > 0 {
				t.Errorf("left: %+v", left)
			}
		})
	}
}

// A pause comes before the cycle: nobody is continued before the thaw, and everybody is after it, to be limited as before.
func TestAPauseComesBeforeTheDutyCycle(t *testing.T) {
	notWithRaceDetector(t)
	for _, session := range []int{0, 1} {
		l, p := setupDuty(t)
		s := script{Do: "tree", Text: busyScript, N: 3, Code: session, File: filepath.Join(t.TempDir(), "there")}
		a := launch(t, l, p, s, LaunchSpec{Limits: skalds.Limits{CPUCores: 0.3}})
		appears(t, s.File)
		id := launchID(t, a)
		for range 5 {
			busy(t, id)
			freeze(t, a)
			before, count := cpuOf(t, id)
			time.Sleep(500 * time.Millisecond) // time that passes is what is tested
			after, still := cpuOf(t, id)
			if used := after - before; used != 0 || count != still || count < 5 {
				t.Errorf("%d processes, then %d, used %s within 500ms while frozen", count, still, used)
			}
			a.Thaw(t.Context())
		}
		busy(t, id)
		if got := share(t, id, 3*time.Second); got > 0.3+5*0.02*5/3 {
			t.Errorf("%.3f cores after the pauses", got)
		}
		freeze(t, a)
		a.Kill(skalds.ExitCancelled, "enough")
		a.end(t)
		if left := livesOf(t, id); len(left) > 0 {
			t.Errorf("left: %+v", left)
		}
	}
}

// rests waits until a process is stopped by its cycle.
func rests(t testing.TB, a *attempt) {
	t.Helper()
	eventually(t, "it is stopped", 20*time.Second, func() bool {
		p, err := procstats.Read(a.PID())
		return err == nil && p.State == 'T'
	})
}

// A worker that hardly gets any time still hears that it shall stop, says so, and is not killed for being late.
func TestATreeAtRestHearsTheStop(t *testing.T) {
	l, p := setupDuty(t)
	a := launch(t, l, p, script{Do: "spin"}, LaunchSpec{Limits: skalds.Limits{CPUCores: 0.03}})
	rests(t, a)
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(context.Background(), string(skalds.ExitCancelled), 20*time.Second) }()
	select {
	case <-a.over:
	case <-time.After(10 * time.Second):
		t.Error("no last word after 10s: it has not heard the stop")
	}
	if x := a.end(t); x.Kind != skalds.ExitCancelled || a.finished == nil || a.finished.Kind != protocol.FinishedStopped {
		t.Errorf("got %s after the last word %+v", shown(x), a.finished)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// One that has stopped hearing says where it stands before it is killed.
func TestATreeAtRestWritesItsStack(t *testing.T) {
	l, p := setupDuty(t)
	a := launch(t, l, p, script{Do: "spin"}, LaunchSpec{Limits: skalds.Limits{CPUCores: 0.03}})
	rests(t, a)
	a.KillWithStack(skalds.ExitStall, "no progress")
	if x := a.end(t); x.Kind != skalds.ExitStall || x.Stack == "" {
		t.Errorf("got %s", shown(x))
	}
}

// The cycle leaves a tree alone while a call to it has to be answered.
func TestAnExcusedTreeRuns(t *testing.T) {
	l, p := setupDuty(t)
	a := launch(t, l, p, script{Do: "spin"}, LaunchSpec{Limits: skalds.Limits{CPUCores: 0.03}})
	rests(t, a)
	pardoned := a.duty.excuse()
	eventually(t, "it runs", 20*time.Second, func() bool {
		p, err := procstats.Read(a.PID())
		return err == nil && p.State != 'T'
	})
	id := launchID(t, a)
	before, _ := cpuOf(t, id)
	eventually(t, "it uses more than its limit", 30*time.Second, func() bool { now, _ := cpuOf(t, id); return now-before > 500*time.Millisecond })
	if p, err := procstats.Read(a.PID()); err != nil || p.State == 'T' {
		t.Errorf("%+v %v", p, err)
	}
	pardoned()
	rests(t, a)
	a.Kill(skalds.ExitCancelled, "enough")
	a.end(t)
}

// A child that is in no group of ours and is started while everybody else is stopped is found and stopped.
func TestChildrenThatComeInTimeAreStopped(t *testing.T) {
	l, p := setupDuty(t)
	text := `i=0; while :; do setsid sh -c 'n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done' & setsid sh -c 'n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done'; wait; echo >"$2"; done`
	s := script{Do: "tree", Text: text, File: filepath.Join(t.TempDir(), "there")}
	a := launch(t, l, p, s, LaunchSpec{Limits: skalds.Limits{CPUCores: 0.3}})
	appears(t, s.File)
	before := treeCPU(t, a)
	began := time.Now()
	time.Sleep(5 * time.Second) // time that passes is what is tested
	got := (treeCPU(t, a) - before).Seconds() / time.Since(began).Seconds()
	t.Logf("%.3f cores, the limit is 0.3", got)
	if got > 0.3+5*0.05 {
		t.Errorf("%.3f cores", got)
	}
	a.Kill(skalds.ExitCancelled, "enough")
	a.end(t)
}

// treeCPU is what the worker's children have used, with those for which they have waited.
func treeCPU(t testing.TB, a *attempt) (sum time.Duration) {
	t.Helper()
	list, err := procstats.List()
	if err != nil {
		t.Fatal(err)
	}
	own, err := procstats.Read(a.PID())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procstats.NewTable(list).Tree(own.ID, nil) {
		sum += p.CPU
	}
	return sum
}

// Holding one busy tree costs at most 1 % of a core, asserted at five times.
func TestWhatTheDutyCycleCosts(t *testing.T) {
	notWithRaceDetector(t)
	const trees, window = 5, 4 * time.Second
	cost := func(on bool) (host, shim float64) {
		l, p := setupWith(t, LauncherConfig{SampleEvery: time.Second, Cgroups: "off", CPUDutyCycle: &on})
		var all []*attempt
		for range trees {
			a := launch(t, l, p, script{Do: "spin"}, LaunchSpec{Limits: skalds.Limits{CPUCores: 0.1}})
			busy(t, launchID(t, a))
			all = append(all, a)
		}
		used := func(pids ...int) (sum time.Duration) {
			for _, pid := range pids {
				if p, err := procstats.Read(pid); err == nil {
					sum += p.CPU
				}
			}
			return sum
		}
		self, shims, began := used(os.Getpid()), used(childrenOfThisProcess(t)...), time.Now()
		time.Sleep(window) // time that passes is what is tested
		host, shim = (used(os.Getpid())-self).Seconds()/time.Since(began).Seconds(), (used(childrenOfThisProcess(t)...)-shims).Seconds()/time.Since(began).Seconds()
		for _, a := range all {
			a.Kill(skalds.ExitCancelled, "enough")
			a.end(t)
		}
		return host, shim
	}
	host0, shim0 := cost(false)
	host, shim := cost(true)
	each := (host + shim - host0 - shim0) / trees
	t.Logf("%.4f of a core a tree; %d trees: host %.4f, shim %.4f; without: host %.4f, shim %.4f", each, trees, host, shim, host0, shim0)
	if each > 5*0.01 {
		t.Errorf("%.4f of a core a tree", each)
	}
}

func TestWhenADutyCycleIsUsed(t *testing.T) {
	cores := float64(runtime.NumCPU())
	for _, tt := range []struct {
		said  *bool
		env   string
		limit float64
		want  bool
	}{
		{nil, "", cores / 2, false},
		{nil, "true", cores / 2, true},
		{nil, "On", cores / 2, true},
		{nil, "false", cores / 2, false},
		{new(true), "", cores / 2, true},
		{new(true), "false", cores / 2, true},
		{new(false), "true", cores / 2, false},
		{new(true), "", 0, false},
		{new(true), "", cores, false},
	} {
		t.Setenv(EnvCPUDutyCycle, tt.env)
		l := &Launcher{cfg: LauncherConfig{CPUDutyCycle: tt.said}}
		if got := l.needsDutyCycle(skalds.Limits{CPUCores: tt.limit}); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
		want := skalds.MechanismNone
		if l.cfg.usesDutyCycle() {
			want = skalds.MechanismDutyCycle
		}
		if e := l.Enforcement().CPU; e.Mechanism != want || e.Overshoot == "" {
			t.Errorf("%+v: %+v", tt, e)
		}
	}
}

// A process that was started before anybody knew of its limits keeps to them, too.
func TestTheDutyCycleHoldsAProcessThatWasReady(t *testing.T) {
	l, p := setupWith(t, LauncherConfig{SampleEvery: time.Second, Cgroups: "off", CPUDutyCycle: new(true), Warm: WarmConfig{Processes: 1}})
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
	warm(t, l, 1)
	ready := idlePIDs(l)
	a := launch(t, l, p, script{Do: "spin"}, LaunchSpec{Limits: skalds.Limits{CPUCores: 0.1}})
	if a.PID() != ready[0] {
		t.Errorf("process %d was started though %v was ready", a.PID(), ready)
	}
	rests(t, a)
	a.Kill(skalds.ExitCancelled, "enough")
	a.end(t)
}
