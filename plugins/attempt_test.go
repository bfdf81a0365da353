package plugins

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// setup gives a running launcher and the scripted plugin.
func setup(t testing.TB) (*Launcher, *Plugin) {
	t.Helper()
	return setupEvery(t, 100*time.Millisecond)
}

func setupEvery(t testing.TB, sample time.Duration) (*Launcher, *Plugin) {
	t.Helper()
	return setupWith(t, LauncherConfig{SampleEvery: sample})
}

// setupWith gives a running launcher by a configuration without a run folder.
func setupWith(t testing.TB, cfg LauncherConfig) (*Launcher, *Plugin) {
	t.Helper()
	dir := t.TempDir()
	installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion)
	c := NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins")}, nil)
	if err := c.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := c.Resolve("Script", "")
	if err != nil {
		t.Fatalf("%v; problems: %v", err, c.Problems())
	}
	cfg.RunDir = filepath.Join(dir, "run")
	l, err := NewLauncher(cfg, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if left, err := l.foreign(); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
	return l, p
}

// end releases what a launcher holds that was never run.
func end(t testing.TB, l *Launcher) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Error(err)
	}
}

// attempt is one launched instance with a running task.
type attempt struct {
	*Instance
	mu       sync.Mutex
	events   []protocol.RunEvent
	finished *protocol.Finished
	runErr   error
	over     chan struct{}
	lines    []Line
	file     string
}

func launch(t testing.TB, l *Launcher, p *Plugin, s script, spec LaunchSpec) *attempt {
	t.Helper()
	a := &attempt{over: make(chan struct{})}
	spec.Plugin, spec.TaskID = p, t.Name()
	spec.Log = func(line Line) { a.mu.Lock(); a.lines = append(a.lines, line); a.mu.Unlock() }
	i, err := l.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	a.Instance = i
	started := make(chan struct{})
	go func() {
		defer close(a.over)
		err := i.Worker().Run(context.Background(), protocol.RunRequest{TaskID: "t", ClassName: "Script", Epoch: 1, Attempt: 1, Attachments: attachments(t, s), DataDir: os.TempDir()}, func(e protocol.RunEvent) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.events = append(a.events, e)
			switch e.Kind {
			case protocol.EventStarted:
				close(started)
			case protocol.EventFinished:
				a.finished = &e.Finished
			}
		})
		a.mu.Lock()
		a.runErr = err
		a.mu.Unlock()
	}()
	select {
	case <-started:
	case <-a.over:
	}
	return a
}

// end waits for the end and explains it.
func (a *attempt) end(t testing.TB) skalds.Exit {
	t.Helper()
	limit := time.NewTimer(60 * time.Second)
	defer limit.Stop()
	select {
	case <-a.over:
	case <-limit.C:
		t.Fatal("the task does not end")
	}
	a.mu.Lock()
	finished, err := a.finished, a.runErr
	a.mu.Unlock()
	if finished != nil {
		a.Leave()
	}
	select {
	case <-a.Done():
	case <-limit.C:
		t.Fatal("the instance does not end")
	}
	return a.Explain(finished, err)
}

// said is what the worker has written so far.
func (a *attempt) said() []Line {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.lines)
}

// alive reports whether a process, given by its number, exists and is no zombie.
func alive(t testing.TB, pid string) bool {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := procstats.Read(n)
	return err == nil && p.State != 'Z'
}

// freezeFromOutside stops a process as somebody else would.
func freezeFromOutside(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stopped", 10*time.Second, func() bool {
		p, err := procstats.Read(pid)
		return err == nil && p.State == 'T'
	})
}

// childrenOfThisProcess lists the children of this process, zombies included.
func childrenOfThisProcess(t testing.TB) []int {
	t.Helper()
	list, err := procstats.List()
	if err != nil {
		t.Fatal(err)
	}
	return procstats.NewTable(list).Children(os.Getpid())
}

// children waits for the pids that the script "fork" writes: a child, a child in a session of its own, and its child.
func children(t testing.TB, file string) []string {
	t.Helper()
	var pids []string
	eventually(t, "children", 20*time.Second, func() bool {
		b, err := os.ReadFile(file)
		pids = strings.Fields(string(b))
		return err == nil && len(pids) == 3
	})
	return pids
}
