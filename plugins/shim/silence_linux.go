package shim

import (
	"time"

	"github.com/skalds-go/skalds/plugins/procstats"
)

const (
	// silentAfter is how long a host may say nothing. One that is short of processor time says something within three
	// seconds.
	silentAfter = 5 * time.Second
	// stoppedAfter is how long, where it is known to be stopped by a signal.
	stoppedAfter = time.Second
	// awayFor is a gap in our own work after which we have heard nothing because we were not there.
	awayFor = time.Second
)

// silence judges whether a host says nothing because it stands still.
type silence struct {
	last    time.Time // it said something
	looked  time.Time // we looked
	stopped int       // looks in a row that saw it stopped
	fallen  bool      // it is silent for good
}

func (s *silence) heard(now time.Time) { s.last, s.stopped = now, 0 }

// look is called at every turn; isStopped asks the kernel.
func (s *silence) look(now time.Time, isStopped func() bool) bool {
	if s.looked.IsZero() || now.Sub(s.looked) > awayFor {
		s.heard(now)
	}
	if now.Sub(s.looked) < tickEvery {
		return false
	}
	s.looked = now
	for_ := now.Sub(s.last)
	if for_ <= stoppedAfter {
		return false
	}
	if isStopped() {
		s.stopped++
	} else {
		s.stopped = 0
	}
	s.fallen = s.stopped >= 2 || for_ > silentAfter
	return s.fallen
}

func (s *server) isSilent(now time.Time) bool {
	return s.silence.look(now, func() bool {
		p, err := procstats.Read(s.hostPID)
		return err == nil && p.State == 'T'
	})
}
