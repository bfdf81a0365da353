package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds/plugins/procstats"
)

const (
	tickEvery    = 200 * time.Millisecond
	clearEvery   = 2 * time.Millisecond // while something that was killed is still there
	clearWithin  = 2 * time.Second      // then it is left: a process in uninterruptible sleep may stay for days
	removeWithin = 10 * time.Second     // of control groups, likewise
	tellAfter    = 300 * time.Millisecond
	rememberFor  = 2 * time.Minute // longer than a task waits between two attempts
	maxPast      = 10_000
)

// server is the shim's side. All of it runs on one thread: the one that forks.
type server struct {
	host       socket
	hostPID    int
	say        Farewell
	null       int
	childEnded int // readable when a child has ended

	instances map[uint64]*instance
	byPID     map[int]*instance
	clearing  map[uint64]*clearance // control groups of what has ended
	queue     []reply               // that the host has not taken yet
	farewell  json.RawMessage
	silence   silence
	lease     int64               // ns of CLOCK_BOOTTIME; 0: none
	past      map[string]pastMark // by task: what has ended, for a while
	gone      bool                // the host has
	buf       [maxPacket]byte
}

// instance is one process that lives.
type instance struct {
	ID      uint64   `json:"id"`
	PID     int      `json:"pid"`
	Start   uint64   `json:"start"`
	Live    int      `json:"live"` // our end of its liveness pipe
	Cgroups []string `json:"cgroups,omitempty"`
	Mark    Mark     `json:"mark"`
	Why     string   `json:"why,omitempty"` // we killed it
}

// clearance is a tree whose root has been reaped.
type clearance struct {
	Cgroups []string  `json:"cgroups"`
	Since   time.Time `json:"since"`
	Told    bool      `json:"told"` // the host knows that nobody is left
	Left    bool      `json:"left"` // somebody is, who could not be killed for so long
	TaskID  string    `json:"taskId,omitempty"`
}

// serve works until the host has gone and nobody of its workers is left.
func (s *server) serve() {
	if s.clearing == nil {
		s.clearing = map[uint64]*clearance{}
	}
	s.silence.heard(time.Now())
	for !s.gone {
		fds := []unix.PollFd{{Fd: int32(s.host.fd), Events: unix.POLLIN}, {Fd: int32(s.childEnded), Events: unix.POLLIN}}
		if len(s.queue) > 0 {
			fds[0].Events |= unix.POLLOUT
		}
		wait := tickEvery
		if len(s.clearing) > 0 {
			wait = clearEvery
		}
		if _, err := unix.Poll(fds, int(wait/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			fmt.Fprintln(os.Stderr, "skalds shim: poll:", err)
			break
		}
		if fds[1].Revents != 0 {
			s.reap()
		}
		if fds[0].Revents&(unix.POLLIN|unix.POLLHUP|unix.POLLERR) != 0 && !s.hear() {
			break
		}
		s.clear()
		s.flush()
		if s.isSilent(time.Now()) {
			break
		}
		s.holdLease()
	}
	s.end()
}

// hear takes one packet; false when the host has gone.
func (s *server) hear() bool {
	var r request
	fds, err := s.host.receive(s.buf[:], &r)
	if err != nil {
		closeAll(fds)
		if errors.Is(err, errGarbled) {
			fmt.Fprintln(os.Stderr, "skalds shim: cannot read a message:", err)
			return true
		}
		return false
	}
	s.silence.heard(time.Now())
	switch r.Kind {
	case kindStart:
		s.start(r, fds)
	case kindSignal:
		if i := s.instances[r.ID]; i != nil {
			s.signal(i, r)
		}
	case kindKill:
		if i := s.instances[r.ID]; i != nil {
			i.kill()
		}
	case kindAlive:
		s.lease = r.Lease
		s.reply(reply{Kind: kindAlive})
	case kindMark:
		if i := s.instances[r.ID]; i != nil && r.Mark != nil {
			i.Mark = *r.Mark
		}
	case kindFarewell:
		s.farewell = r.Data
	case kindExchange:
		err := s.exchange(r.Path) // does not return where it succeeds
		s.reply(reply{Kind: kindChanged, Error: err.Error()})
	}
	closeAll(fds)
	return true
}

// signal reaches a process or its group while we have not reaped it: the number is its own.
func (s *server) signal(i *instance, r request) {
	pid := i.PID
	if r.Group {
		pid = -pid
	}
	_ = unix.Kill(pid, r.Signal)
}

// kill kills everything of an instance that can be told without looking for it.
func (i *instance) kill() {
	killCgroups(i.Cgroups)
	_ = unix.Kill(-i.PID, unix.SIGKILL)
	_ = unix.Kill(i.PID, unix.SIGKILL) // before it has made itself a group, or after it has left it
}

// reply queues a message: a host that does not read must not hold us up.
func (s *server) reply(r reply) {
	s.queue = append(s.queue, r)
	s.flush()
}

func (s *server) flush() {
	for len(s.queue) > 0 && !s.gone {
		switch err := s.host.send(s.queue[0], nil, true); {
		case err == nil:
		case errors.Is(err, unix.E2BIG) && s.queue[0].Error != "":
			s.queue[0].Error = "too long to be told"
			continue
		default:
			return // full, or gone: the next poll tells
		}
		s.queue = s.queue[1:]
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
}

// reap collects children that have ended: those that we have started, and orphans that came to us.
func (s *server) reap() {
	var b [64]byte
	for {
		if n, _ := unix.Read(s.childEnded, b[:]); n < len(b) {
			break
		}
	}
	for {
		pid := endedChild()
		if pid <= 0 {
			return
		}
		i := s.byPID[pid]
		if i == nil {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			continue
		}
		_ = unix.Kill(-pid, unix.SIGKILL) // its group, while the zombie still holds the number
		killCgroups(i.Cgroups)
		var ws unix.WaitStatus
		var ru unix.Rusage
		if _, err := unix.Wait4(pid, &ws, unix.WNOHANG, &ru); err != nil {
			fmt.Fprintln(os.Stderr, "skalds shim: wait for", pid, err)
		}
		s.ended(i, exitOf(syscall.WaitStatus(ws), &ru, i.Why))
	}
}

// ended forgets an instance and tells the host.
func (s *server) ended(i *instance, x *Exit) {
	_ = unix.Close(i.Live)
	delete(s.instances, i.ID)
	delete(s.byPID, i.PID)
	s.remember(i.Mark)
	s.reply(reply{Kind: kindExited, ID: i.ID, Exit: x})
	if len(i.Cgroups) == 0 {
		s.reply(reply{Kind: kindCleared, ID: i.ID})
		return
	}
	s.clearing[i.ID] = &clearance{Cgroups: i.Cgroups, Since: time.Now(), TaskID: i.Mark.TaskID}
}

// clear looks at the control groups of what has ended: kills again who is still there, and tells when nobody is. The host
// removes them, after it has read what they have counted.
func (s *server) clear() {
	for id, c := range s.clearing {
		for_ := time.Since(c.Since)
		if !c.Told {
			c.Left = anybodyIn(c.Cgroups)
			if c.Left && for_ < clearWithin {
				killCgroups(c.Cgroups)
				continue
			}
			c.Told = true
			s.reply(reply{Kind: kindCleared, ID: id})
		}
		if !s.gone || removeCgroups(c.Cgroups) || for_ > removeWithin {
			delete(s.clearing, id)
		}
	}
}

// holdLease kills what another node may run, where the host did not do so in time.
func (s *server) holdLease() {
	if s.lease == 0 || bootTime() < s.lease {
		return
	}
	for _, i := range s.instances {
		if !i.Mark.Keep {
			i.Why = WhyLease
			i.kill()
		}
	}
}

// end kills everything when the host has died or fallen silent, and tells the cluster.
func (s *server) end() {
	if s.silence.fallen {
		s.reply(reply{Kind: kindSilent}) // it finds this first when it goes on
	}
	s.gone = true
	s.host.close()
	for _, i := range s.instances {
		i.kill()
	}
	told := -1
	words, said := s.speaker()
	tell := func() {
		if dead := s.dead(); len(dead) != told {
			told = len(dead)
			words <- dead
		}
	}
	// Who was killed may leave children in sessions of their own. They come to us: whatever is our child is a worker's.
	for began := time.Now(); ; time.Sleep(clearEvery) {
		s.reap()
		left := children()
		s.clear()
		if len(left) == 0 || time.Since(began) > clearWithin {
			break
		}
		for _, pid := range left {
			_ = unix.Kill(pid, unix.SIGKILL) // not reaped by anybody but us
		}
		if told < 0 && time.Since(began) > tellAfter {
			tell() // of the others: something cannot be killed for now
		}
	}
	tell() // before what is only tidying up
	for began := time.Now(); len(s.clearing) > 0 && time.Since(began) < clearWithin; time.Sleep(clearEvery) {
		s.reap()
		s.clear()
	}
	tell()
	close(words)
	<-said
}

// speaker says a farewell for each list that it is given, beside everything else: that may take seconds.
func (s *server) speaker() (words chan<- []Mark, said <-chan struct{}) {
	lists, done := make(chan []Mark, 3), make(chan struct{})
	go func() {
		defer close(done)
		for dead := range lists {
			if s.say == nil || s.farewell == nil {
				continue
			}
			if err := s.say(s.farewell, dead, s.silence.fallen); err != nil {
				fmt.Fprintln(os.Stderr, "skalds shim: cannot tell that the host has gone:", err)
			}
		}
	}()
	return lists, done
}

// start forks.
func (s *server) start(r request, fds []int) {
	spec := r.Spec
	if spec == nil || len(fds) != 2 {
		s.reply(reply{Kind: kindStarted, ID: r.ID, Error: "a start needs a description and two descriptors", Errno: unix.EINVAL})
		return
	}
	pid, live, stage, err := spec.fork(s.null, fds[0], fds[1])
	if err != nil {
		var no syscall.Errno
		errors.As(err, &no)
		s.reply(reply{Kind: kindStarted, ID: r.ID, Error: err.Error(), Errno: no, Stage: stage})
		return
	}
	i := &instance{ID: r.ID, PID: pid, Live: live, Cgroups: spec.Cgroups, Mark: spec.Mark}
	if p, err := procstats.Read(pid); err == nil {
		i.Start = p.ID.Start
	}
	s.instances[i.ID], s.byPID[pid] = i, i
	s.reply(reply{Kind: kindStarted, ID: r.ID, PID: pid, Start: i.Start})
}

// pastMark is a task whose process has ended.
type pastMark struct {
	Mark Mark      `json:"mark"`
	At   time.Time `json:"at"`
}

// remember keeps in mind that nothing of a task lives: a host that dies between two attempts leaves the task to nobody.
func (s *server) remember(m Mark) {
	if s.past == nil {
		s.past = map[string]pastMark{}
	}
	if len(s.past) >= maxPast {
		for id, p := range s.past { // half of them, the old ones first
			if time.Since(p.At) > rememberFor || len(s.past) > maxPast/2 && rand.IntN(2) == 0 {
				delete(s.past, id)
			}
		}
	}
	s.past[m.TaskID] = pastMark{Mark: m, At: time.Now()}
}

// dead lists the tasks of which nothing lives.
func (s *server) dead() []Mark {
	alive := map[string]bool{}
	for _, i := range s.instances {
		alive[i.Mark.TaskID] = true
	}
	for _, c := range s.clearing {
		if !c.Told || c.Left {
			alive[c.TaskID] = true
		}
	}
	dead := []Mark{}
	for id, p := range s.past {
		if id != "" && !alive[id] && time.Since(p.At) < rememberFor {
			dead = append(dead, p.Mark)
		}
	}
	return dead
}
