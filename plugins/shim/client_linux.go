package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds/plugins/procstats"
)

const (
	aliveEvery = 500 * time.Millisecond
	// deafAfter is how long a shim may answer nothing before its host looks whether it is stopped, deadAfter before it is
	// given up in any case.
	deafAfter = time.Second
	deadAfter = 10 * time.Second
	// stuckAfter is the same where it is starting a process.
	stuckAfter = time.Minute
)

// ErrGone says that the shim has ended.
var ErrGone = errors.New("the shim of this host has ended")

// ErrGoneMeanwhile says that it has ended while it was asked to start a process. It is an ErrGone.
var ErrGoneMeanwhile = fmt.Errorf("%w while it started the process", ErrGone)

// ErrLate says that a process was not started in time. What may come of it is killed.
var ErrLate = errors.New("the system has not started the process: its file may lie on a disk or a network that hangs, or something that looks into programs holds it")

// Config is how a shim is started.
type Config struct {
	Env []string // of the shim and, with what a Spec adds, of all that it starts
	Log hclog.Logger
	// OnSilence is called before any Child ends whose shim killed it because this process stood still, or its lease was over
	// meanwhile (then those marked to be kept live). The controllers have been told, so that others may run its tasks. It
	// must not wait for a Child. May be nil.
	OnSilence func(leaseOnly bool)
}

// Shim is the host's side. It is safe for concurrent use.
type Shim struct {
	log  hclog.Logger
	hear func(leaseOnly bool) // see Config.OnSilence
	proc *os.Process
	done chan struct{}

	using sync.RWMutex // held to use sock, and to close it: its number becomes somebody else's then
	sock  socket
	hung  bool // it is closed

	next  atomic.Uint64
	lease atomic.Int64
	heard atomic.Int64 // ns since began
	mute  atomic.Bool  // the shim has found this process silent
	began time.Time

	mu        sync.Mutex // guards what follows
	waiting   map[uint64]chan reply
	children  map[uint64]*Child
	exchanged chan error
	over      bool
	gaveUp    time.Time // waiting for a start

	exchange sync.Mutex // held while one is under way
}

// Start starts a shim, which lives until Close, or as long as this process.
func Start(cfg Config) (*Shim, error) {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	if cfg.OnSilence == nil {
		cfg.OnSilence = func(bool) {}
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("start shim: %w", err)
	}
	defer theirs.close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		ours.close()
		return nil, fmt.Errorf("start shim: %w", err)
	}
	defer func() { _ = null.Close() }()
	far, err := unix.FcntlInt(uintptr(theirs.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		ours.close()
		return nil, fmt.Errorf("start shim: %w", err)
	}
	end := os.NewFile(uintptr(far), "shim")
	defer func() { _ = end.Close() }()
	// The file of this very program, whatever lies at its path by now. A session of its own, so that no terminal stops it.
	proc, err := os.StartProcess("/proc/self/exe", []string{os.Args[0], argument, "3"}, &os.ProcAttr{
		Env: cfg.Env, Files: []*os.File{null, null, os.Stderr, end}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		ours.close()
		return nil, fmt.Errorf("start shim: %w", err)
	}
	s := &Shim{
		log: cfg.Log.Named("shim"), hear: cfg.OnSilence, proc: proc, done: make(chan struct{}), sock: ours, began: time.Now(),
		waiting: map[uint64]chan reply{}, children: map[uint64]*Child{},
	}
	if err := s.greet(); err != nil {
		_ = proc.Kill()
		_, _ = proc.Wait()
		ours.close()
		return nil, fmt.Errorf("start shim: %w", err)
	}
	go s.read()
	go s.beat()
	return s, nil
}

// greetWithin bounds the start of a shim: it is this program, which has to be loaded first.
const greetWithin = 10 * time.Second

// greet waits for the first word.
func (s *Shim) greet() error {
	if err := s.sock.send(request{Kind: kindAlive}, nil, false); err != nil {
		return err
	}
	fds := []unix.PollFd{{Fd: int32(s.sock.fd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(greetWithin); ; {
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("it said nothing within %s", greetWithin)
		}
		break
	}
	var r reply
	if _, err := s.sock.receive(make([]byte, maxPacket), &r); err != nil {
		return fmt.Errorf("it ended at once: does main call shim.Main? %w", err)
	}
	return nil
}

// PID is the shim's process.
func (s *Shim) PID() int { return s.proc.Pid }

// Done is closed when the shim has ended.
func (s *Shim) Done() <-chan struct{} { return s.done }

// Close ends the shim, and everything that it has started, without a farewell.
func (s *Shim) Close() error {
	_ = s.send(request{Kind: kindFarewell}, nil)
	s.using.RLock()
	if !s.hung {
		_ = unix.Shutdown(s.sock.fd, unix.SHUT_RDWR)
	}
	s.using.RUnlock()
	<-s.done
	return nil
}

// HoldLease says until when instances may live that are not marked to be kept, as a time of CLOCK_BOOTTIME; 0: for ever. The
// shim hears of it with the next beat, and at once where it holds the lease for over.
func (s *Shim) HoldLease(bootNanos int64) {
	if old := s.lease.Swap(bootNanos); old != 0 && bootTime() > old-int64(2*aliveEvery) {
		_ = s.say(request{Kind: kindAlive, Lease: bootNanos}, nil, true)
	}
}

// SetFarewell gives the shim what its Farewell needs.
func (s *Shim) SetFarewell(data json.RawMessage) error {
	return s.send(request{Kind: kindFarewell, Data: data}, nil)
}

// Exchange runs the file at path in the shim's process; by default the one that it was started from. No instance is lost.
func (s *Shim) Exchange(path string) error {
	s.exchange.Lock()
	defer s.exchange.Unlock()
	answer := make(chan error, 1)
	s.mu.Lock()
	s.exchanged = answer
	s.mu.Unlock()
	if err := s.send(request{Kind: kindExchange, Path: path}, nil); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-s.done:
		return ErrGone
	}
}

// say sends a packet, unless nobody is there to hear it.
func (s *Shim) say(r request, fds []int, now bool) error {
	s.using.RLock()
	defer s.using.RUnlock()
	if s.hung {
		return ErrGone
	}
	return s.sock.send(r, fds, now)
}

func (s *Shim) send(r request, fds []int) error {
	if err := s.say(r, fds, false); err != nil {
		select {
		case <-s.done:
			return ErrGone
		default:
		}
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
			return ErrGone
		}
		return err
	}
	return nil
}

// StartError says at which step a start failed.
type StartError struct {
	Stage string // "join", "fork", "limits"
	Err   error
}

func (e *StartError) Error() string { return e.Err.Error() }

func (e *StartError) Unwrap() error { return e.Err }

// Start forks a process with these as its standard output and error. Its error is a *StartError, ErrGone or ErrLate.
func (s *Shim) Start(spec Spec, stdout, stderr *os.File, within time.Duration) (*Child, error) {
	id := s.next.Add(1)
	c := &Child{shim: s, id: id, cgroups: spec.Cgroups, exited: make(chan struct{}), cleared: make(chan struct{})}
	answer := make(chan reply, 1)
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return nil, ErrGone
	}
	s.waiting[id], s.children[id] = answer, c
	s.mu.Unlock()
	err := s.send(request{Kind: kindStart, ID: id, Spec: &spec}, []int{int(stdout.Fd()), int(stderr.Fd())})
	if err != nil {
		s.forget(id)
		return nil, err
	}
	late := time.NewTimer(within)
	defer late.Stop()
	var r reply
	var ok bool
	select {
	case r, ok = <-answer:
	case <-late.C:
		if s.forget(id) {
			s.mu.Lock()
			s.gaveUp = time.Now()
			s.mu.Unlock()
			return nil, ErrLate
		}
		r, ok = <-answer // it has come just now
	}
	if !ok {
		return nil, ErrGoneMeanwhile
	}
	if r.Error != "" {
		s.forget(id)
		err := errors.New(r.Error)
		if r.Errno != 0 {
			err = &os.PathError{Op: "fork/exec", Path: spec.Path, Err: r.Errno}
			if r.Stage != StageFork {
				err = &systemError{r.Error, r.Errno}
			}
		}
		return nil, &StartError{r.Stage, err}
	}
	return c, nil
}

// systemError is a text and the number behind it.
type systemError struct {
	text string
	no   syscall.Errno
}

func (e *systemError) Error() string { return e.text }

func (e *systemError) Unwrap() error { return e.no }

// forget reports whether an answer was still awaited.
func (s *Shim) forget(id uint64) (waiting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waiting = s.waiting[id]
	delete(s.waiting, id)
	delete(s.children, id)
	return waiting
}

// isStarting reports whether the shim may be busy with starting a process.
func (s *Shim) isStarting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0 || time.Since(s.gaveUp) < stuckAfter
}

// read takes what the shim says until it ends.
func (s *Shim) read() {
	buf := make([]byte, maxPacket)
	for {
		var r reply
		fds, err := s.sock.receive(buf, &r)
		closeAll(fds)
		if errors.Is(err, errGarbled) {
			s.log.Error("cannot read a message of the shim", "err", err)
			continue
		}
		if err != nil {
			break
		}
		s.heard.Store(int64(time.Since(s.began)))
		s.take(r)
	}
	s.end()
}

func (s *Shim) take(r reply) {
	s.mu.Lock()
	c := s.children[r.ID]
	if r.Kind == kindStarted && c != nil {
		c.proc = procstats.ID{PID: r.PID, Start: r.Start}
	}
	answer := s.waiting[r.ID]
	if r.Kind == kindStarted {
		delete(s.waiting, r.ID)
	}
	if r.Kind == kindCleared {
		delete(s.children, r.ID)
	}
	exchanged := s.exchanged
	s.mu.Unlock()
	switch r.Kind {
	case kindStarted:
		switch {
		case answer != nil:
			answer <- r
		case c == nil && r.PID > 0: // nobody waits for it any more
			_ = s.say(request{Kind: kindKill, ID: r.ID}, nil, true)
		}
	case kindExited:
		if c != nil {
			if r.Exit != nil && r.Exit.Why == WhyLease {
				s.hear(true)
			}
			c.ended(r.Exit)
		}
	case kindSilent:
		s.wasSilent()
	case kindCleared:
		if c != nil {
			close(c.cleared)
		}
	case kindChanged:
		if exchanged != nil {
			var err error
			if r.Error != "" {
				err = errors.New(r.Error)
			}
			select {
			case exchanged <- err:
			default:
			}
		}
	}
}

// Silent reports, after Done, whether the shim has ended because this process stood still.
func (s *Shim) Silent() bool { return s.mute.Load() }

// endWithin is how long a shim that has hung up may take: it kills, and says farewell.
const endWithin = clearWithin + 3*time.Second

// end comes when the shim has ended, or hung up: whatever it has started is ours now, and goes.
func (s *Shim) end() {
	why := WhyShim
	_ = unix.Shutdown(s.sock.fd, unix.SHUT_RDWR) // if it is we who cannot hear it
	late := time.AfterFunc(endWithin, func() { _ = s.proc.Kill() })
	state, err := s.proc.Wait()
	late.Stop()
	if err == nil && state.ExitCode() == exitSilent {
		s.wasSilent()
	}
	if s.mute.Load() {
		why = WhySilence
	}
	s.mu.Lock()
	s.over = true
	left := s.children
	waiting := s.waiting
	s.children, s.waiting = map[uint64]*Child{}, map[uint64]chan reply{}
	s.mu.Unlock()
	close(s.done)
	var wg sync.WaitGroup
	for id, c := range left {
		if answer := waiting[id]; answer != nil {
			close(answer) // what may have come of it carries its launch id
			continue
		}
		wg.Go(func() { c.bury(why) })
	}
	wg.Wait()
	s.using.Lock()
	defer s.using.Unlock()
	s.hung = true
	s.sock.close()
}

// wasSilent hears that the shim has found us silent. It is told twice: by its last word and by its exit code.
func (s *Shim) wasSilent() {
	if s.mute.Swap(true) {
		return
	}
	s.log.Error("this process stood still: the shim has killed all workers, and tells the controllers", "pid", s.proc.Pid)
	s.hear(false)
}

// beat says that we live, and looks whether the shim does.
func (s *Shim) beat() {
	t := time.NewTicker(aliveEvery)
	defer t.Stop()
	stopped := 0
	for last := time.Now(); ; {
		select {
		case <-s.done:
			return
		case <-t.C:
		}
		away := time.Since(last) > 2*aliveEvery
		last = time.Now()
		_ = s.say(request{Kind: kindAlive, Lease: s.lease.Load()}, nil, true)
		silent := time.Since(s.began) - time.Duration(s.heard.Load())
		if away || silent <= deafAfter {
			stopped = 0
			continue
		}
		if p, err := procstats.Read(s.proc.Pid); err == nil && p.State == 'T' {
			stopped++
		} else {
			stopped = 0
		}
		// While it starts a process it does nothing else, and that takes as long as the system needs to load the file.
		if stopped >= 2 || silent > deadAfter && !s.isStarting() || silent > stuckAfter {
			s.log.Error("the shim stands still: it is killed, and the workers with it", "pid", s.proc.Pid)
			_ = s.proc.Kill()
		}
	}
}

// Orphans lists the shim's children that no live instance is.
func (s *Shim) Orphans() (pids []int, ok bool) {
	select {
	case <-s.done:
		return nil, false
	default:
	}
	all := childrenOf(s.proc.Pid)
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := make(map[int]bool, len(s.children))
	for _, c := range s.children {
		ours[c.proc.PID] = true
	}
	for _, pid := range all {
		if !ours[pid] {
			pids = append(pids, pid)
		}
	}
	return pids, true
}
