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
	"syscall"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/embedded"
)

// standalone is a running `skalds standalone`.
type standalone struct {
	*client.Client
	dir    string
	cmd    *exec.Cmd
	log    bytes.Buffer // complete once exited is closed
	exited chan struct{}
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

// withStandalone gives fn a fresh one with a node that is online, and stops it. It has the defaults, but for flags.
func (l *lab) withStandalone(ctx context.Context, fn func(*standalone) error, flags ...string) (err error) {
	program, err := l.skalds(ctx)
	if err != nil {
		return err
	}
	room, err := l.room()
	if err != nil {
		return err
	}
	s := &standalone{dir: filepath.Join(room, "data"), exited: make(chan struct{})}
	s.cmd = exec.Command(program, append([]string{"standalone", "--data-dir", s.dir, "--listen", "127.0.0.1:0", "--plugins", l.plugins(), "--log-level", "WARNING"}, flags...)...)
	s.cmd.Dir = room // no settings file
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = tied()
	if err := l.start(s.cmd); err != nil {
		return fmt.Errorf("start standalone: %w", err)
	}
	go func() {
		_ = s.cmd.Wait() // how it ended is asked for in stop
		close(s.exited)
	}()
	defer func() {
		stopErr := s.stop()
		if err = errors.Join(err, stopErr); err != nil {
			fmt.Fprintf(l.notes, "standalone said:\n%s\n", bytes.TrimSpace(s.log.Bytes()))
		}
	}()
	if err := s.connect(ctx); err != nil {
		return err
	}
	return fn(s)
}

// connect waits until REST answers and the node can be given tasks.
func (s *standalone) connect(ctx context.Context) error {
	return until(ctx, "standalone answers and its node offers the worker", func() (bool, error) {
		select {
		case <-s.exited:
			return false, fmt.Errorf("standalone has ended: %s", s.cmd.ProcessState)
		default:
		}
		if s.Client == nil {
			j, err := embedded.ReadJoin(s.dir)
			if err != nil || j.Server == "" {
				return false, nil
			}
			s.Client = client.New(j.Server, j.Token)
		}
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		workers, err := s.Workers(short)
		return err == nil && slices.ContainsFunc(workers.Items, func(w controller.WorkerOnNodes) bool { return w.Name == workerName && len(w.Nodes) > 0 }), nil
	})
}

func (s *standalone) stop() error {
	if s.Client != nil {
		_ = s.Close() // idle connections
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop standalone: %w", err)
	}
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return errors.New("standalone did not stop")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("standalone ended: %s", s.cmd.ProcessState)
	}
	return nil
}

// create creates a task by REST.
func (s *standalone) create(ctx context.Context, id, do string) error {
	_, err := s.CreateTask(ctx, api.CreateTask{ID: id, ClassName: workerClass, Attachments: []byte(`{"do":"` + do + `"}`)}, "")
	return err
}

// began waits until the attempt number n (from 1) of a task has begun.
func (s *standalone) began(ctx context.Context, id string, n int) (b beginning, err error) {
	return beganIn(ctx, s.dir, id, n)
}

// beganIn waits for the same on a host with a data folder of its own.
func beganIn(ctx context.Context, dataDir, id string, n int) (b beginning, err error) {
	dir := filepath.Join(dataDir, "recordings", skalds.FileName(id))
	err = until(ctx, fmt.Sprintf("attempt %d of %s begins", n, id), func() (bool, error) {
		all, err := beginnings(dir)
		if len(all) < n {
			return false, err
		}
		b = all[n-1]
		return true, err
	})
	return b, err
}

// ended waits until a task has ended in the state.
func (s *standalone) ended(ctx context.Context, id string, want skalds.State) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := s.Wait(ctx, id)
	if err != nil {
		return err
	}
	if t.LifecycleStatus != want {
		return fmt.Errorf("task %s is %s, not %s", id, t.LifecycleStatus, want)
	}
	return nil
}
