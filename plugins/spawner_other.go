//go:build unix && !linux

package plugins

import (
	"encoding/json"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
	"github.com/skalds-go/skalds/plugins/shim"
)

// spawner starts processes as children of this one: there is no shim on this system.
type spawner struct {
	env    []string
	closed chan struct{}
}

func newSpawner(env []string, _ hclog.Logger) (*spawner, error) {
	return &spawner{env: env, closed: make(chan struct{})}, nil
}

// start forks.
func (s *spawner) start(_ int64, spec shim.Spec, stdout, stderr *os.File, _ time.Duration) (child, error) {
	select {
	case <-s.closed:
		return nil, errSpawnerClosed
	default:
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	theirs, live, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	p, err := os.StartProcess(spec.Path, spec.Args, &os.ProcAttr{
		Env: shim.MergeEnv(s.env, append(spec.Env, protocol.EnvLivenessFD+"=3")), Files: []*os.File{null, stdout, stderr, theirs}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		_ = live.Close()
		return nil, err
	}
	if spec.Nice != 0 {
		if own, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PGRP, p.Pid, min(own+spec.Nice, 19)) // where it is allowed
		}
	}
	c := &ownChild{proc: p, id: procstats.ID{PID: p.Pid}, live: live, exited: make(chan struct{})}
	if st, err := procstats.Read(p.Pid); err == nil {
		c.id = st.ID
	}
	go c.wait()
	return c, nil
}

func (*spawner) orphans() ([]int, bool)            { return nil, false }
func (*spawner) holdLease(int64)                   {}
func (*spawner) onSilence(func(bool))              {}
func (*spawner) era() int64                        { return 0 }
func (*spawner) setFarewell(json.RawMessage) error { return nil }
func (s *spawner) close()                          { close(s.closed) }

// ownChild is a child of this process.
type ownChild struct {
	proc   *os.Process
	id     procstats.ID
	live   *os.File // our end of the liveness pipe: closing it ends the worker
	exited chan struct{}
	exit   shim.Exit

	mu     sync.Mutex // held while the group is signalled, so that it is not reaped meanwhile
	reaped bool
}

func (c *ownChild) wait() {
	if awaitExit(c.proc.Pid) {
		_ = syscall.Kill(-c.proc.Pid, syscall.SIGKILL) // its group, while the zombie still holds the number
	}
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	state, err := c.proc.Wait()
	c.exit = shim.Exit{Lost: true}
	if err == nil {
		if ws, ok := state.Sys().(syscall.WaitStatus); ok {
			c.exit = shim.Exit{Status: ws, CPU: state.UserTime() + state.SystemTime(), MaxRSS: maxRSS(state)}
		}
	}
	_ = c.live.Close()
	close(c.exited)
}

// maxRSS is 0 where it cannot be told from this process's own, with whose mark a process begins.
func maxRSS(state *os.ProcessState) int64 {
	var own syscall.Rusage
	ru, ok := state.SysUsage().(*syscall.Rusage)
	if !ok || syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil || ru.Maxrss <= own.Maxrss {
		return 0
	}
	if runtime.GOOS == "darwin" { // which counts in bytes, others in KiB
		return int64(ru.Maxrss)
	}
	return int64(ru.Maxrss) << 10
}

func (c *ownChild) Ident() procstats.ID { return c.id }

func (c *ownChild) Signal(sig syscall.Signal, group bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return
	}
	pid := c.proc.Pid
	if group {
		pid = -pid
	}
	_ = syscall.Kill(pid, sig)
}

func (c *ownChild) Mark(shim.Mark)           {}
func (c *ownChild) Kill()                    { c.Signal(syscall.SIGKILL, true) }
func (c *ownChild) Exited() <-chan struct{}  { return c.exited }
func (c *ownChild) Cleared() <-chan struct{} { return c.exited }
func (c *ownChild) Exit() shim.Exit          { return c.exit }
func (c *ownChild) Orphans() ([]int, bool)   { return nil, false }

// isUnusable reports whether a fork failed because of the file, so that it will fail again.
func isUnusable(err error) bool { return unusableFile(err) }
