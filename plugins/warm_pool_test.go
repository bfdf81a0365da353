package plugins

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// countedServices are a cache that holds nothing.
type countedServices struct {
	protocol.HostServices
	calls atomic.Int32
}

func (s *countedServices) CacheGet(context.Context, string) ([]byte, bool, error) {
	s.calls.Add(1)
	return nil, false, nil
}

// setupWarm gives a running launcher that keeps processes ready.
func setupWarm(t testing.TB, n int) (*Launcher, *Plugin) {
	t.Helper()
	return setupWith(t, LauncherConfig{SampleEvery: 100 * time.Millisecond, Warm: WarmConfig{Processes: n}})
}

func warm(t testing.TB, l *Launcher, n int) {
	t.Helper()
	eventually(t, "processes are ready", 20*time.Second, func() bool { return l.Warm() == n })
}

// idlePIDs are the processes that wait for a task.
func idlePIDs(l *Launcher) (pids []int) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	for _, v := range l.pool.versions {
		for _, i := range v.ready {
			pids = append(pids, i.PID())
		}
	}
	return pids
}

func TestATaskTakesAProcessThatIsReady(t *testing.T) {
	l, p := setupWarm(t, 2)
	first := launch(t, l, p, script{Do: "finish"}, LaunchSpec{})
	first.end(t)
	warm(t, l, 1)
	ready := idlePIDs(l)
	if slices.Contains(ready, first.PID()) {
		t.Error("a process is used twice")
	}
	services := &countedServices{}
	limits := skalds.Limits{MemoryBytes: 200 << 20, CPUCores: 1, PIDs: enoughThreads}
	a := launch(t, l, p, script{Do: "ask-cache"}, LaunchSpec{Limits: limits, Services: services, Epoch: 7})
	if a.PID() != ready[0] {
		t.Errorf("process %d was started though %v was ready", a.PID(), ready)
	}
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
	if services.calls.Load() == 0 {
		t.Error("the services of the task were not asked")
	}
	if a.StartedAt().Before(first.StartedAt()) {
		t.Error("it has the start of its process, not that of its task")
	}
}

// The limits of the task hold in a process that was born without.
func TestLimitsHoldInAProcessThatWasReady(t *testing.T) {
	l, p := setupWarm(t, 1)
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
	warm(t, l, 1)
	ready := idlePIDs(l)
	a := launch(t, l, p, script{Do: "leak", Bytes: 4 << 30}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 128 << 20}})
	if x := a.end(t); a.PID() != ready[0] || !overMemory(l, x) {
		t.Errorf("process %d of %v: %+v", a.PID(), ready, x)
	}
	warm(t, l, 1)
	ready = idlePIDs(l)
	b := launch(t, l, p, script{Do: "bomb"}, LaunchSpec{Limits: skalds.Limits{PIDs: enoughThreads}})
	if x := b.end(t); b.PID() != ready[0] || x.Limit != skalds.LimitPIDs {
		t.Errorf("process %d of %v: %+v", b.PID(), ready, x)
	}
}

func TestWhatIsReadyEndsWithItsVersionAndItsHost(t *testing.T) {
	l, p := setupWarm(t, 1)
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
	warm(t, l, 1)
	pid := idlePIDs(l)[0]
	if n, err := l.Sweep(t.Context()); n != 0 || err != nil || l.Warm() != 1 {
		t.Errorf("a sweep has killed %d, %v", n, err)
	}
	if err := os.Remove(p.Path); err != nil {
		t.Fatal(err)
	}
	warm(t, l, 0)
	eventually(t, "the process has gone", 20*time.Second, func() bool { _, err := procstats.Read(pid); return err != nil })
}

func TestReadyProcessesThatDieAreLeftAlone(t *testing.T) {
	l, p := setupWarm(t, 1)
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
	warm(t, l, 1)
	if err := syscall.Kill(idlePIDs(l)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	warm(t, l, 0)
	l.pool.adjust(time.Now())
	l.pool.births.Wait()
	if n := l.Warm(); n != 0 {
		t.Errorf("%d are ready again at once", n)
	}
	if x := launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("a cold one: %+v", x)
	}
}

func TestThePoolIsEmptiedWhenMemoryIsShort(t *testing.T) {
	l, p := setupWarm(t, 2)
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
	warm(t, l, 1)
	l.pool.mu.Lock()
	l.pool.free = func() (int64, int64) { return 5, 100 }
	l.pool.mu.Unlock()
	l.pool.adjust(time.Now())
	warm(t, l, 0)
}

func TestAPoolWithinItsBudget(t *testing.T) {
	l, p := setupWith(t, LauncherConfig{SampleEvery: 100 * time.Millisecond, Warm: WarmConfig{Processes: 8, MemoryBytes: 1}})
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
	l.pool.adjust(time.Now())
	l.pool.births.Wait()
	if n := l.Warm(); n != 0 {
		t.Errorf("%d are ready", n)
	}
}

// What a process says before it has a task is in the log of its task.
func TestEarlyLinesReachTheTask(t *testing.T) {
	o := newOutput(nil)
	o.line(StreamErr, []byte("loading the model"), false)
	var got []string
	o.handTo(func(l Line) { got = append(got, l.Text) })
	o.line(StreamErr, []byte("loaded"), false)
	if !slices.Equal(got, []string{"loading the model", "loaded"}) {
		t.Errorf("got %q", got)
	}
}

func TestABurstOfTasks(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 50
	}
	l, p := setupWarm(t, 4)
	over := make(chan skalds.Exit, n)
	begin := time.Now()
	for range n {
		go func() {
			i, err := l.Launch(context.Background(), LaunchSpec{Plugin: p, TaskID: "burst", StartTimeout: time.Minute})
			if err != nil {
				over <- skalds.Exit{Kind: skalds.ExitHandshake, Message: err.Error()}
				return
			}
			var last *protocol.Finished
			err = i.Worker().Run(context.Background(), protocol.RunRequest{TaskID: "t", ClassName: "Script", Epoch: 1, Attempt: 1, Attachments: attachments(t, script{Do: "finish"}), DataDir: filepath.Dir(p.Path)}, func(e protocol.RunEvent) {
				if e.Kind == protocol.EventFinished {
					last = &e.Finished
				}
			})
			i.Leave()
			<-i.Done()
			over <- i.Explain(last, err)
		}()
	}
	for range n {
		if x := <-over; x.Kind != skalds.ExitCompleted {
			t.Errorf("got %+v", x)
		}
	}
	t.Logf("%d tasks in %s", n, time.Since(begin).Round(time.Millisecond))
}

func TestAProcessThatStandsStillIsNotHandedOut(t *testing.T) {
	l, p := setupWarm(t, 1)
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
	warm(t, l, 1)
	pid := idlePIDs(l)[0]
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it stands still", 20*time.Second, func() bool { p, err := procstats.Read(pid); return err == nil && p.State == 'T' })
	a := launch(t, l, p, script{Do: "finish"}, LaunchSpec{})
	if x := a.end(t); a.PID() == pid || x.Kind != skalds.ExitCompleted {
		t.Errorf("process %d of %d: %+v", a.PID(), pid, x)
	}
}

func TestACancelledLaunchTakesNoProcess(t *testing.T) {
	l, p := setupWarm(t, 1)
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
	warm(t, l, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(skalds.ErrStopping)
	if i, err := l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: "x"}); i != nil || !errors.Is(err, skalds.ErrStopping) || l.Warm() != 1 {
		t.Errorf("got %v, %v", i, err)
	}
}

// A launcher that ends takes along what it hands out just then.
func TestALauncherEndsDuringAHandOut(t *testing.T) {
	for n := range 10 {
		dir := t.TempDir()
		installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion)
		c := NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins")}, nil)
		if err := c.Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := c.Resolve("Script", "")
		if err != nil {
			t.Fatal(err)
		}
		l, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run"), Warm: WarmConfig{Processes: 1}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		over := make(chan error, 1)
		go func() { over <- l.Run(ctx) }()
		launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t)
		warm(t, l, 1)
		go func() { _, _ = l.Launch(context.Background(), LaunchSpec{Plugin: p, TaskID: "x"}) }()
		if n%2 == 0 {
			runtime.Gosched()
		}
		cancel()
		select {
		case err := <-over:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(60 * time.Second):
			t.Fatal("the launcher does not end")
		}
	}
}
