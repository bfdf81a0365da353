//go:build linux

package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// member is a program of the cluster, a controller or a host. It is started again when it ends. It is safe for concurrent use.
type member struct {
	name    string
	args    []string
	env     []string
	dir     string // working folder; its log lies beside
	strange func(text string)

	mu     sync.Mutex // guards the rest
	cmd    *exec.Cmd  // nil: it does not run
	exited chan struct{}
	killed bool // that it ends is our doing
	held   bool // a fault has it
}

// start starts it, unless it runs.
func (m *member) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		return nil
	}
	log, err := os.OpenFile(m.logPath(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process has its own
	cmd := exec.Command(built.skalds, m.args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, m.dir
	cmd.Env = append(append(os.Environ(), "SKALDS_PLUGINS="+built.plugins, "TMPDIR="+built.tmp, "XDG_RUNTIME_DIR="+built.tmp), m.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", m.name, err)
	}
	exited := make(chan struct{})
	m.cmd, m.exited, m.killed = cmd, exited, false
	go func() {
		err := cmd.Wait()
		m.mu.Lock()
		m.cmd = nil
		byItself := !m.killed
		m.mu.Unlock()
		close(exited)
		if byItself {
			m.strange(fmt.Sprintf("%s has ended by itself: %v", m.name, err))
		}
	}()
	return nil
}

func (m *member) logPath() string { return filepath.Join(m.dir, m.name+".log") }

// pid is its process; 0: it does not run.
func (m *member) pid() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd == nil {
		return 0
	}
	return m.cmd.Process.Pid
}

// signal sends one that does not end it.
func (m *member) signal(s syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		_ = m.cmd.Process.Signal(s) // it has just ended
	}
}

// end ends it by a signal, and waits until it is reaped; after a time it is killed, and that is an error.
func (m *member) end(s syscall.Signal, within time.Duration) error {
	m.mu.Lock()
	cmd, exited := m.cmd, m.exited
	m.killed = true
	m.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", m.name, err)
	}
	select {
	case <-exited:
		return nil
	case <-time.After(within):
	}
	_ = cmd.Process.Kill()
	<-exited
	return fmt.Errorf("%s did not end within %v of %s", m.name, within, s)
}

// hold makes it a fault's own; false: it is another one's.
func (m *member) hold() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held {
		return false
	}
	m.held = true
	return true
}

func (m *member) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = false
}
