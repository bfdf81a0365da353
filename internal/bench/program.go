package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// program is a running `skalds standalone`, `skalds controller` or `skalds host`.
type program struct {
	name   string // for people
	cmd    *exec.Cmd
	exited chan struct{}

	mu    sync.Mutex // guards both
	said  bytes.Buffer
	heard func(text []byte, at time.Time) // of what it says next; nil: nobody
}

// skalds builds the program, once.
func (l *lab) skalds(ctx context.Context) (path string, err error) {
	if l.program == "" {
		program := filepath.Join(l.dir, "skalds")
		if err := l.build(ctx, program, "cmd/skalds"); err != nil {
			return "", err
		}
		l.program = program
	}
	return l.program, nil
}

// run starts the program in a folder, in which no settings file lies. env is added to that of the bench.
func (l *lab) run(ctx context.Context, name, dir string, env []string, args ...string) (*program, error) {
	path, err := l.skalds(ctx)
	if err != nil {
		return nil, err
	}
	p := &program{name: name, cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = p, p, tied()
	if err := l.start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is asked for in stop
		close(p.exited)
	}()
	return p, nil
}

// Write takes what the program says.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.heard != nil {
		p.heard(b, time.Now())
	}
	return p.said.Write(b)
}

// lives is an error where the program has ended.
func (p *program) lives() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s has ended: %s", p.name, p.cmd.ProcessState)
	default:
		return nil
	}
}

// stop asks the program to end, and waits for it.
func (p *program) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("%s did not stop", p.name)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s ended: %s", p.name, p.cmd.ProcessState)
	}
	return nil
}

// kill ends the program at once; it may have ended.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// tell shows people what the program has said.
func (p *program) tell(l *lab) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(l.notes, "%s said:\n%s\n", p.name, bytes.TrimSpace(p.said.Bytes()))
}
