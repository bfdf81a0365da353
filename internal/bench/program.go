package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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
	heard []heard
}

// heard is how much of what a program says was there at a time.
type heard struct {
	bytes int
	at    time.Time
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

// run starts the program in a folder, in which no settings file lies. env is added to that of the bench, which names no services.
func (l *lab) run(ctx context.Context, name, dir string, env []string, args ...string) (*program, error) {
	path, err := l.skalds(ctx)
	if err != nil {
		return nil, err
	}
	p := &program{name: name, cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(slices.DeleteFunc(os.Environ(), namesService), env...)
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

// namesService is true for variables that would have a program use services of somebody's.
func namesService(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return name == "KAFKA_HOST" || name == "REDIS_HOST" || name == "MONGO_HOST"
}

// Write takes what the program says.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.said.Write(b)
	p.heard = append(p.heard, heard{p.said.Len(), time.Now()})
	return n, err
}

// saidAt is when the program was heard to say something for the first time; false: it has not.
func (p *program) saidAt(what string) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := bytes.Index(p.said.Bytes(), []byte(what))
	if i < 0 {
		return time.Time{}, false
	}
	first, _ := slices.BinarySearchFunc(p.heard, i+len(what), func(h heard, n int) int { return h.bytes - n })
	return p.heard[first].at, true
}

// text is all that the program has said.
func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
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
	fmt.Fprintf(l.notes, "%s said:\n%s\n", p.name, strings.TrimSpace(p.text()))
}
