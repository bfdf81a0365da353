package plugins

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// A shim that dies takes its workers along; the host says so and goes on with another one.
func TestAKilledShimIsReplaced(t *testing.T) {
	for _, how := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(how.String(), func(t *testing.T) {
			l, p := setup(t)
			file := filepath.Join(t.TempDir(), "pids")
			a := launch(t, l, p, script{Do: "fork", File: file}, LaunchSpec{})
			pids := children(t, file)
			sh, _ := l.spawner.current()
			if err := syscall.Kill(sh.PID(), how); err != nil {
				t.Fatal(err)
			}
			if x := a.end(t); x.Kind != skalds.ExitHostRestart || x.Kind.WorkerCaused() || !contains(x.Message, "shim") {
				t.Errorf("got %+v", x)
			}
			for i, pid := range pids {
				if alive(t, pid) {
					t.Errorf("child %d lives after Done", i)
				}
			}
			b := launch(t, l, p, script{Do: "finish"}, LaunchSpec{})
			if x := b.end(t); x.Kind != skalds.ExitCompleted {
				t.Errorf("the next one: %+v", x)
			}
		})
	}
}

// The shim is exchanged under running workers, and none of them notices.
func TestAShimIsExchangedInPlace(t *testing.T) {
	l, p := setup(t)
	running := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	dying := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	sh, _ := l.spawner.current()
	for range 5 {
		if err := sh.Exchange(""); err != nil {
			t.Fatal(err)
		}
		short := launch(t, l, p, script{Do: "exit", Code: 7}, LaunchSpec{})
		if x := short.end(t); x.Kind != skalds.ExitExit || x.Code != 7 {
			t.Errorf("started after it: %+v", x)
		}
	}
	if now, _ := l.spawner.current(); now != sh {
		t.Error("it is another one")
	}
	if err := syscall.Kill(dying.PID(), syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	if x := dying.end(t); x.Kind != skalds.ExitSignal && x.Kind != skalds.ExitPanic {
		t.Errorf("started before it: %+v", x)
	}
	if err := sh.Exchange("/nowhere"); err == nil {
		t.Error("a file that is not there was run")
	}
	if err := running.Stop(t.Context(), "cancelled", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if x := running.end(t); x.Kind != skalds.ExitCancelled {
		t.Errorf("got %+v", x)
	}
}
