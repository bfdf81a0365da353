package plugins

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/plugins/shim"
)

// spawner starts processes by a shim, and a new shim where one has died.
type spawner struct {
	env    []string
	log    hclog.Logger
	closed chan struct{}
	ended  chan struct{} // the watch over the shims has

	mu       sync.Mutex // guards what follows
	shim     *shim.Shim
	next     chan struct{} // closed when there is another shim
	lease    int64
	farewell json.RawMessage
	silence  func(leaseOnly bool)
	silences int64 // how often everything was killed because this process stood still
}

var _ child = (*shim.Child)(nil)

const (
	// shimAgain is the pause before another attempt to start a shim.
	shimAgain = time.Second
	// shimWithin is how long a launch waits for a shim that is being replaced.
	shimWithin = 5 * time.Second
)

// newSpawner starts a shim. env is what all processes have.
func newSpawner(env []string, log hclog.Logger) (*spawner, error) {
	s := &spawner{env: env, log: log, closed: make(chan struct{}), ended: make(chan struct{}), next: make(chan struct{})}
	sh, err := s.startShim()
	if err != nil {
		return nil, err
	}
	s.shim = sh
	go s.watch(sh)
	return s, nil
}

func (s *spawner) startShim() (*shim.Shim, error) {
	return shim.Start(shim.Config{Env: s.env, Log: s.log, OnSilence: s.silent})
}

// silent hears that the shim has killed what others may run now.
func (s *spawner) silent(leaseOnly bool) {
	s.mu.Lock()
	if !leaseOnly {
		s.silences++
	}
	f := s.silence
	s.mu.Unlock()
	if f != nil {
		f(leaseOnly)
	}
}

func (s *spawner) onSilence(f func(leaseOnly bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silence = f
}

// era changes whenever everything was killed because this process stood still.
func (s *spawner) era() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silences
}

// watch replaces shims that have died.
func (s *spawner) watch(sh *shim.Shim) {
	defer close(s.ended)
	for {
		<-sh.Done()
		select {
		case <-s.closed:
			return
		default:
		}
		s.log.Error("the shim has ended, and the workers with it: another one is started", "pid", sh.PID())
		next, err := s.startShim()
		for err != nil {
			s.log.Error("cannot start a shim: no task can be started until that succeeds", "err", err)
			select {
			case <-s.closed:
				return
			case <-time.After(shimAgain):
			}
			next, err = s.startShim()
		}
		s.replace(next)
		sh = next
	}
}

func (s *spawner) replace(next *shim.Shim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next.HoldLease(s.lease)
	if s.farewell != nil {
		if err := next.SetFarewell(s.farewell); err != nil {
			s.log.Debug("the new shim does not take its farewell", "err", err)
		}
	}
	s.shim = next
	close(s.next)
	s.next = make(chan struct{})
	select {
	case <-s.closed:
		go func() { _ = next.Close() }()
	default:
	}
}

func (s *spawner) current() (*shim.Shim, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shim, s.next
}

// start forks what was asked for in an era. It waits a while for a shim, where the last one has just died.
func (s *spawner) start(era int64, spec shim.Spec, stdout, stderr *os.File, within time.Duration) (child, error) {
	timeout := time.NewTimer(min(shimWithin, within))
	defer timeout.Stop()
	for {
		select {
		case <-s.closed:
			return nil, errSpawnerClosed
		default:
		}
		if s.era() != era {
			return nil, errSilent
		}
		sh, next := s.current()
		c, err := sh.Start(spec, stdout, stderr, within)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, shim.ErrGone) || errors.Is(err, shim.ErrGoneMeanwhile) {
			return nil, err // what it was about to start may have been its end
		}
		select {
		case <-next:
		case <-s.closed:
			return nil, errSpawnerClosed
		case <-timeout.C:
			return nil, fmt.Errorf("start a process: %w, and there is no other yet", err)
		}
	}
}

// orphans lists processes whose parents have died, where they are children of the shim.
func (s *spawner) orphans() ([]int, bool) {
	sh, _ := s.current()
	return sh.Orphans()
}

// holdLease says until when processes may live that are not kept, as a time of CLOCK_BOOTTIME; 0: for ever.
func (s *spawner) holdLease(bootNanos int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = bootNanos
	s.shim.HoldLease(bootNanos)
}

// setFarewell gives the shim what it needs to tell that this host has gone.
func (s *spawner) setFarewell(data json.RawMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.farewell = data
	return s.shim.SetFarewell(data)
}

// close ends the shim, and everything that lives by it.
func (s *spawner) close() {
	close(s.closed)
	sh, _ := s.current()
	_ = sh.Close()
	<-s.ended
}

// isUnusable reports whether a fork failed because of the file, so that it will fail again.
func isUnusable(err error) bool {
	var at *shim.StartError
	return errors.As(err, &at) && at.Stage == shim.StageFork && unusableFile(err)
}
