package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
)

// childHost keeps one host running as a process of its own.
type childHost struct {
	number int
	args   []string
	grace  time.Duration
	log    hclog.Logger
}

// Pauses before a host that has died is started again.
const (
	childPauseFirst = 200 * time.Millisecond
	childPauseMax   = 10 * time.Second
	childHealthy    = 10 * time.Second // a host that lived so long starts again after the first pause
)

// Run starts the host, and again whenever it dies, until ctx ends; then it stops it.
func (c *childHost) Run(ctx context.Context) error {
	pause := childPauseFirst
	for {
		started := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(started) > childHealthy {
			pause = childPauseFirst
		}
		c.log.Error("a host has ended: it is started again", "number", c.number, "err", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, childPauseMax)
	}
}

// once runs the host to its end. Its standard input is a pipe that ends when this process does, however it does.
func (c *childHost) once(ctx context.Context) error {
	path, err := self()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, c.args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is this process's to pass on
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = c.grace + 6*time.Second
	tie, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start host %d: %w", c.number, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start host %d: %w", c.number, err)
	}
	c.log.Info("host started", "number", c.number, "pid", cmd.Process.Pid)
	err = cmd.Wait()
	return errors.Join(err, closed(tie))
}

func closed(c io.Closer) error {
	if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// tiedGrace is how long a tied host may take to stop after the process that started it has gone; then it ends at once, and
// its workers with it.
const tiedGrace = time.Second

// tied ends the context when standard input does, and the process soon after.
func tied(ctx context.Context, in io.Reader, exit func(int)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel(errors.New("the program that started this host has ended"))
		time.AfterFunc(tiedGrace, func() { exit(1) })
	}()
	return ctx, func() { cancel(nil) }
}
