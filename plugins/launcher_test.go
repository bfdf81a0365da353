package plugins

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

func TestLaunchFailures(t *testing.T) {
	l, p := setup(t)
	for _, tc := range []struct {
		start     string
		kind      skalds.ExitKind
		permanent bool
		want      []string
	}{
		{"rubbish", skalds.ExitHandshake, false, []string{"exit code 3", "hello, I am no worker"}},
		{"hang", skalds.ExitStartTimeout, false, []string{"not ready in time", "no handshake"}},
		{"panic", skalds.ExitHandshake, false, []string{"exit code 2", "before the handshake"}},
		{"exit", skalds.ExitHandshake, false, []string{"exit code 7", "no licence found"}},
		{"kill-self", skalds.ExitSignal, false, []string{"signal 9"}},
		{"version", skalds.ExitHandshake, true, []string{"speaks version 99 of the worker protocol", "build it with the SDK"}},
		{"wrong token", skalds.ExitHandshake, true, []string{"shook hands and then refused", "token"}},
		{"dead socket", skalds.ExitHandshake, true, []string{"nobody.sock"}},
	} {
		t.Run(tc.start, func(t *testing.T) {
			t.Parallel()
			timeout := 20 * time.Second
			if tc.start == "hang" {
				timeout = 300 * time.Millisecond
			}
			_, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: tc.start, StartTimeout: timeout, Env: []string{"SCRIPT_START=" + tc.start}})
			var le *LaunchError
			if !errors.As(err, &le) {
				t.Fatalf("got %v", err)
			}
			if le.Kind != tc.kind || le.Permanent != tc.permanent || !contains(le.Error(), tc.want...) {
				t.Errorf("got %s, permanent %v: %v", le.Kind, le.Permanent, le)
			}
			if x := le.Exit(); x.Kind != tc.kind || x.Message == "" {
				t.Errorf("exit %+v", x)
			}
		})
	}
	t.Run("nothing is left", func(t *testing.T) {
		eventually(t, "run folder is empty", 10*time.Second, func() bool {
			entries, err := os.ReadDir(l.base)
			return err == nil && len(entries) == 0
		})
	})
}

// Launches that hang do not keep others from starting, be they of another worker or of the same.
func TestHangingLaunchesDelayNobody(t *testing.T) {
	l, p := setup(t)
	l.slots = newSlots(2)
	other := &Plugin{Info: skalds.WorkerInfo{Name: "other", Version: "1.0.0"}, Path: installWorker(t, t.TempDir(), "other", "1.0.0")}
	ctx, cancel := context.WithCancelCause(t.Context())
	var hanging sync.WaitGroup
	for range 4 {
		hanging.Go(func() {
			_, err := l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: "hangs", StartTimeout: time.Hour, Env: []string{"SCRIPT_START=hang"}})
			if !errors.Is(err, skalds.ErrTaskCancelled) {
				t.Errorf("got %v", err)
			}
		})
	}
	eventually(t, "one hangs", 20*time.Second, func() bool { return len(l.all()) > 0 })
	good := launch(t, l, other, script{Do: "finish"}, LaunchSpec{StartTimeout: time.Minute})
	if x := good.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
	if x := launch(t, l, p, script{Do: "finish"}, LaunchSpec{StartTimeout: time.Minute}).end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("of the same worker: %+v", x)
	}
	cancel(skalds.ErrTaskCancelled)
	hanging.Wait()
}

func TestLaunchOfAFileThatIsNotTheVerifiedOne(t *testing.T) {
	l, p := setup(t)
	dir := filepath.Dir(p.Path)
	put(t, filepath.Join(dir, "says"), "scripted@9.9.9", 0o644)
	_, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x"})
	if err == nil || !contains(err.Error(), "is scripted@9.9.9", "exchanged") {
		t.Errorf("another version: %v", err)
	}
	if err := os.Remove(p.Path); err != nil {
		t.Fatal(err)
	}
	var le *LaunchError
	var he *HostError
	if _, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x"}); !errors.As(err, &he) || !contains(err.Error(), "gone") {
		t.Errorf("removed: %v", err)
	}
	put(t, p.Path, "#!/bin/sh\n", 0o755)
	if _, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x"}); !errors.As(err, &he) || !errors.Is(err, errExchanged) {
		t.Errorf("exchanged: %v", err)
	}
	blind := &Plugin{Info: p.Info, Path: filepath.Join(dir, "nothing-here")}
	if _, err := l.Launch(t.Context(), LaunchSpec{Plugin: blind, TaskID: "x"}); !errors.As(err, &le) || !le.Permanent || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// What the machine lacks is told apart from what is wrong with a worker.
func TestAMachineThatCannotStartAProcess(t *testing.T) {
	l, p := setup(t)
	refused := func(name string, spec LaunchSpec, want ...string) {
		t.Helper()
		spec.Plugin, spec.TaskID = p, "x"
		_, err := l.Launch(t.Context(), spec)
		var he *HostError
		if !errors.As(err, &he) || he.Plugin != p.Info.Ref() || !contains(err.Error(), want...) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("no fork", LaunchSpec{Env: []string{"LARGE=" + strings.Repeat("x", 1<<20)}}, "this node cannot start", "argument list too long")
	if err := os.Remove(l.base); err != nil {
		t.Fatal(err)
	}
	put(t, l.base, "", 0o600)
	refused("no folder", LaunchSpec{}, "private folder")
	if err := os.Remove(l.base); err != nil {
		t.Fatal(err)
	}
	a := launch(t, l, p, script{Do: "finish"}, LaunchSpec{}) // the folder has gone: it is made anew
	if info, err := os.Stat(l.base); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("run folder: %v %v", info, err)
	}
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
}

func TestCancelledLaunchLeavesNothing(t *testing.T) {
	l, p := setup(t)
	for name, when := range map[string]func(cancel func()){
		"before":           func(cancel func()) { cancel() },
		"at the same time": func(cancel func()) { go cancel() },
		"once it is forked": func(cancel func()) {
			go func() {
				for len(l.all()) == 0 {
					runtime.Gosched()
				}
				cancel()
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			begin := time.Now()
			when(func() { cancel(skalds.ErrTaskCancelled) })
			_, err := l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: "x", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=hang"}})
			if !errors.Is(err, skalds.ErrTaskCancelled) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if left := l.all(); len(left) > 0 {
				t.Errorf("%d instances are left", len(left))
			}
			if entries, err := os.ReadDir(l.base); err != nil || len(entries) > 0 {
				t.Errorf("left in the run folder: %v %v", entries, err)
			}
		})
	}
}

func TestAClosedLauncherLaunchesNothing(t *testing.T) {
	dir := t.TempDir()
	_, p := setup(t)
	own, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- own.Run(ctx) }()
	a := launch(t, own, p, script{Do: "wait"}, LaunchSpec{})
	slow := make(chan error, 1)
	go func() {
		_, err := own.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=hang"}})
		slow <- err
	}()
	eventually(t, "the second one is forked", 20*time.Second, func() bool { return len(own.all()) == 2 })
	cancel()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Kind != skalds.ExitHostStop {
		t.Errorf("got %+v", x)
	}
	var le *LaunchError
	if err := <-slow; !errors.As(err, &le) || le.Kind != skalds.ExitHostStop {
		t.Errorf("the launch under way: %v", err)
	}
	if _, err := own.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "x"}); err == nil {
		t.Error("launched after the end")
	}
	if _, err := os.Stat(own.base); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the run folder is left: %v", err)
	}
}

// services knows no secret and nothing else: a call that gets past the token panics.
type services struct{ protocol.HostServices }

func TestWrongTokensAreRefused(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Services: services{}})
	conn, err := grpc.NewClient("unix:"+a.client.ReattachConfig().Addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, token := range []string{"", "wrong"} {
		if _, err := protocol.NewClient(conn, token).Describe(t.Context(), protocol.DescribeRequest{}); !errors.Is(err, protocol.ErrTokenMismatch) {
			t.Errorf("worker, token %q: %v", token, err)
		}
		hs, err := protocol.DialHostServices(filepath.Join(a.dir, "h.sock"), token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hs.Secret(t.Context(), "x"); !errors.Is(err, protocol.ErrTokenMismatch) {
			t.Errorf("host services, token %q: %v", token, err)
		}
		_ = hs.Close()
	}
	if _, err := protocol.NewClient(conn, a.token).Describe(t.Context(), protocol.DescribeRequest{}); err != nil {
		t.Errorf("with the right token: %v", err)
	}
	for _, path := range []string{l.base, a.dir} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
	if info, err := os.Stat(filepath.Join(a.dir, "token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token: %v %v", info, err)
	}
}

func TestWorkersDoNotSeeTheHostsSettings(t *testing.T) {
	t.Setenv("MONGO_PASSWORD", "secret")
	t.Setenv("SKALDS_TOKEN", "secret")
	t.Setenv("PATH_OF_MINE", "seen")
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Env: []string{"EXTRA=1"}})
	for key, want := range map[string]string{"MONGO_PASSWORD": "", "SKALDS_TOKEN": "", "PATH_OF_MINE": "seen", "EXTRA": "1"} {
		if got, _ := procstats.Environ(a.PID(), key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// descriptors counts the open files of this process.
func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	return len(entries)
}

func TestTwoHundredAtOnceLeaveNothing(t *testing.T) {
	l, p := setup(t)
	launch(t, l, p, script{Do: "finish"}, LaunchSpec{}).end(t) // what is made once is made now
	before := childrenOfThisProcess(t)
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if x := launch(t, l, p, script{Do: "finish"}, LaunchSpec{Services: services{}}).end(t); x.Kind != skalds.ExitCompleted {
				t.Errorf("got %+v", x)
			}
		})
	}
	wg.Wait()
	if entries, err := os.ReadDir(l.base); err != nil || len(entries) > 0 {
		t.Errorf("left in the run folder: %v %v", entries, err)
	}
	eventually(t, "goroutines are gone", 20*time.Second, func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "descriptors are closed", 20*time.Second, func() bool { return descriptors(t) <= fds })
	for _, pid := range childrenOfThisProcess(t) {
		if !slices.Contains(before, pid) {
			t.Errorf("child %d is left", pid)
		}
	}
}
