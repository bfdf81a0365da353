package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/testlog"
)

// patience bounds every wait: long enough for a machine that does ten other things.
const patience = 60 * time.Second

// program is a running skalds.
type program struct {
	*client.Client
	t      testing.TB
	cmd    *exec.Cmd
	dir    string
	log    *testlog.Buffer
	exited chan struct{}
}

// start runs skalds with args; env is added to the environment.
func start(t testing.TB, dir string, args ...string) *program {
	t.Helper()
	return startCommand(t, dir, exec.Command(built.skalds, args...))
}

// startCommand is start where skalds is wrapped in another command.
func startCommand(t testing.TB, dir string, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, dir: dir, cmd: cmd, log: &testlog.Buffer{}, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Dir = t.TempDir() // no skalds.yml, no .env
	p.cmd.Env = append(append(os.Environ(), cmd.Env...), "SKALDS_PLUGINS="+built.plugins, "TMPDIR="+built.tmp, "XDG_RUNTIME_DIR="+built.tmp)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is asked for where it matters
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(cmd.Args, " "), tail(p.log.String(), 200))
		}
	})
	return p
}

// standalone starts one on dir, on a free port, and returns when it answers and a node has offered the workers.
func standalone(t testing.TB, dir string, args ...string) *program {
	t.Helper()
	return standaloneWith(t, dir, 2, args...)
}

// standaloneWith is standalone where the plugins folder holds n workers.
func standaloneWith(t testing.TB, dir string, n int, args ...string) *program {
	t.Helper()
	p := start(t, dir, append([]string{"standalone", "--data-dir", dir, "--listen", "127.0.0.1:0"}, args...)...)
	p.connect()
	p.until("a node offers the workers", func(ctx context.Context) bool {
		workers, err := p.Workers(ctx)
		return err == nil && len(workers.Items) == n
	})
	return p
}

// connect waits until the program answers REST. A join file of a former start is replaced before.
func (p *program) connect() {
	p.t.Helper()
	p.wait("the program answers", func() bool {
		if !strings.Contains(p.log.String(), "skalds is up") {
			return false
		}
		j, err := embedded.ReadJoin(p.dir)
		if err != nil || j.Server == "" {
			return false
		}
		c := client.New(j.Server, j.Token)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if c.Live(ctx) != nil {
			return false
		}
		p.Client = c
		return true
	})
}

// until waits until ok is true; each call of it has a short deadline.
func (p *program) until(what string, ok func(ctx context.Context) bool) {
	p.t.Helper()
	p.wait(what, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return ok(ctx)
	})
}

// wait waits until ok is true. The program must be alive.
func (p *program) wait(what string, ok func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		select {
		case <-p.exited:
			p.t.Fatalf("the program has ended (%s) while waiting until %s\n%s", p.cmd.ProcessState, what, tail(p.log.String(), 50))
		default:
		}
		if time.Now().After(end) {
			p.t.Fatalf("never happened: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kill ends it by SIGKILL, and waits until it is reaped.
func (p *program) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("kill: %v", err)
	}
	<-p.exited
}

// stop ends it as Ctrl-C does and returns the exit code.
func (p *program) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("does not stop\n%s", tail(p.log.String(), 50))
	}
	return p.cmd.ProcessState.ExitCode()
}

// tail is the last n lines of a text.
func tail(s string, n int) string {
	lines := strings.Split(s, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// command runs skalds to its end.
func command(t testing.TB, p *program, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, built.skalds, args...)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr, c.Dir = &out, &errOut, t.TempDir()
	c.Env = append(os.Environ(), "TMPDIR="+built.tmp, "XDG_RUNTIME_DIR="+built.tmp)
	if p != nil {
		c.Env = append(c.Env, "SKALDS_SERVER="+p.Server())
	}
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), c.ProcessState.ExitCode()
}
