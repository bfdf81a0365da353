package plugins

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// forker starts processes from one thread that lives as long as the launcher: the parent-death signal fires when the
// thread that forked ends, not the process (golang/go#27505), so it must not be a thread of the pool.
type forker struct {
	jobs chan func()
	done chan struct{}
	once sync.Once
}

var errForkerClosed = errors.New("the launcher is closed")

func newForker() *forker {
	f := &forker{jobs: make(chan func()), done: make(chan struct{})}
	go f.loop()
	return f
}

// loop never unlocks its thread: it ends with the goroutine, and what it forked dies with it. The main thread would not end,
// and it is the one that the kernel gives orphans to: workers among its children would all be looked at for each of them.
func (f *forker) loop() {
	runtime.LockOSThread()
	if onMainThread() {
		elsewhere := make(chan struct{})
		go func() {
			runtime.LockOSThread() // another one, since the main thread is held
			close(elsewhere)
			f.loop()
		}()
		<-elsewhere
		runtime.UnlockOSThread()
		return
	}
	for {
		select {
		case job := <-f.jobs:
			job()
		case <-f.done:
			return
		}
	}
}

// limitError says that a process was forked, but not made to keep its limits.
type limitError struct{ err error }

func (e *limitError) Error() string { return "set limits: " + e.err.Error() }

func (e *limitError) Unwrap() error { return e.err }

// isUnusable reports whether a fork failed because of the file, so that it will fail again.
func isUnusable(err error) bool {
	if limit := (*limitError)(nil); errors.As(err, &limit) {
		return false
	}
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOEXEC)
}

// close ends the thread.
func (f *forker) close() { f.once.Do(func() { close(f.done) }) }

// start is os.StartProcess on the forker's thread. after runs on that thread right after the fork.
func (f *forker) start(path string, argv []string, attr *os.ProcAttr, after func(pid int) error) (p *os.Process, err error) {
	finished := make(chan struct{})
	job := func() {
		defer close(finished)
		if p, err = os.StartProcess(path, argv, attr); err != nil {
			return
		}
		if err = after(p.Pid); err != nil {
			err = &limitError{err}
			_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // its group
			_, _ = p.Wait()
			p = nil
		}
	}
	select {
	case f.jobs <- job:
		<-finished
		return p, err
	case <-f.done:
		return nil, errForkerClosed
	}
}
