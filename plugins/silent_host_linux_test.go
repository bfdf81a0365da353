package plugins

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// saidByAHost is a line of a host that is stopped and goes on.
type saidByAHost struct {
	What      string // "runs", "silence", "end", "launch", "next"
	LeaseOnly bool
	Kind      skalds.ExitKind
	Message   string
}

// hostToBeStopped runs one worker, has a second one in the middle of its launch, and tells what becomes of them, and of a third
// that is started when the first has ended.
func hostToBeStopped(ctx context.Context, l *Launcher, p *Plugin, out io.Writer) {
	say := json.NewEncoder(out)
	lines := make(chan saidByAHost, 10)
	l.OnSilence(func(leaseOnly bool) { lines <- saidByAHost{What: "silence", LeaseOnly: leaseOnly} })
	life := func(what string, s script, began func()) {
		i, err := l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: what, Keep: true})
		if err != nil {
			lines <- saidByAHost{What: what, Message: err.Error()}
			return
		}
		var last *protocol.Finished
		err = i.Worker().Run(ctx, protocol.RunRequest{TaskID: what, ClassName: "Script", Epoch: 1, Attempt: 1, Attachments: mustJSON(s), DataDir: os.TempDir()}, func(e protocol.RunEvent) {
			switch e.Kind {
			case protocol.EventStarted:
				began()
			case protocol.EventFinished:
				last = &e.Finished
			}
		})
		if last != nil {
			i.Leave()
		}
		<-i.Done()
		x := i.Explain(last, err)
		lines <- saidByAHost{What: what, Kind: x.Kind, Message: x.Message}
	}
	go func() {
		_, err := l.Launch(ctx, LaunchSpec{Plugin: p, TaskID: "launch", Env: []string{"SCRIPT_START=hang"}, StartTimeout: time.Minute})
		x := saidByAHost{What: "launch"}
		if at := (*LaunchError)(nil); errors.As(err, &at) {
			x.Kind, x.Message = at.Kind, at.Message
		}
		lines <- x
	}()
	go func() {
		life("end", script{Do: "wait"}, func() { lines <- saidByAHost{What: "runs"} })
		life("next", script{Do: "finish"}, func() {})
	}()
	for line := range lines {
		_ = say.Encode(line)
	}
}

// A host that is stopped finds its workers dead when it goes on, and hears why before it sees an end.
func TestAStoppedHostIsToldWhatItHasMissed(t *testing.T) {
	dir := t.TempDir()
	installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "SCRIPT_BUSY="+dir, "SCRIPT_PLUGINS="+filepath.Join(dir, "plugins"), "SCRIPT_STOPPED=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		next, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run"), Cgroups: CgroupsAuto}, nil) // clears away what it has left
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := next.Sweep(context.Background()); err != nil {
			t.Error(err)
		}
		end(t, next)
	})
	lines := bufio.NewReader(out)
	var name string
	var shim int
	if _, err := fmt.Fscanln(lines, &name, &shim); err != nil {
		t.Fatal(err)
	}
	said := json.NewDecoder(lines)
	next := func() (x saidByAHost) {
		if err := said.Decode(&x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	if x := next(); x.What != "runs" {
		t.Fatalf("got %+v", x)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the shim has done its work", 10*time.Second, func() bool { return !alive(t, fmt.Sprint(shim)) })
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if x := next(); x.What != "silence" || x.LeaseOnly {
		t.Errorf("first: %+v", x)
	}
	got := map[string]saidByAHost{}
	for len(got) < 3 {
		x := next()
		got[x.What] = x
	}
	for _, what := range []string{"end", "launch"} {
		if x := got[what]; x.Kind != skalds.ExitLeaseLost || x.Kind.WorkerCaused() || !contains(x.Message, "stood still") {
			t.Errorf("%s: %+v", what, x)
		}
	}
	if x := got["next"]; x.Kind != skalds.ExitCompleted {
		t.Errorf("the next one: %+v", x)
	}
}
