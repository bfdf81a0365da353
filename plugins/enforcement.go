package plugins

import (
	"fmt"
	"sync"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/cgroup"
)

// enforcement says what holds which limit, and what that is worth.
func (g groups) enforcement() skalds.Enforcement {
	within := (watchdogInterval + reaction).Seconds()
	e := skalds.Enforcement{
		Memory: skalds.Enforced{Mechanism: skalds.MechanismWatchdog, Overshoot: fmt.Sprintf("allocation rate × %.2f s", within)},
		CPU:    skalds.Enforced{Mechanism: skalds.MechanismNone, Overshoot: "not held: GOMAXPROCS is set as a hint"},
		PIDs:   skalds.Enforced{Mechanism: skalds.MechanismWatchdog, Overshoot: fmt.Sprintf("what is started within %.2f s", within)},
	}
	if m := mechanism(g.has.Memory); m != "" {
		e.Memory = skalds.Enforced{Mechanism: m, Overshoot: "none: the kernel counts every page, those of files included"}
	}
	if m := mechanism(g.has.CPU); m != "" {
		e.CPU = skalds.Enforced{Mechanism: m, Overshoot: "at most 2 % of a core, over seconds"}
	}
	if m := mechanism(g.has.PIDs); m != "" {
		e.PIDs = skalds.Enforced{Mechanism: m, Overshoot: "none: the kernel refuses to make more"}
	}
	if m := mechanism(g.has.IO); m != "" {
		e.IO = skalds.Enforced{Mechanism: m, Overshoot: "a share, not a bound"}
	}
	return e
}

func mechanism(version string) skalds.Mechanism {
	switch version {
	case cgroup.Version2:
		return skalds.MechanismCgroup2
	case cgroup.Version1:
		return skalds.MechanismCgroup1
	}
	return ""
}

// seen is how far beyond their limits trees have really been since the launcher was made.
type seen struct {
	mu                     sync.Mutex // guards what follows
	memoryKills, pidsKills int
	memoryOver             int64
	pidsOver               int
	cpuOver                float64
}

// memory counts a kill of a tree that was so far over its limit.
func (s *seen) memory(over int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memoryKills++
	s.memoryOver = max(s.memoryOver, over)
}

// pids likewise.
func (s *seen) pids(over int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pidsKills++
	s.pidsOver = max(s.pidsOver, over)
}

// cpu notes what a tree used of cores beyond its limit.
func (s *seen) cpu(over float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cpuOver = max(s.cpuOver, over)
}

func (s *seen) addTo(e skalds.Enforcement) skalds.Enforcement {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Memory.Kills, e.Memory.MaxOver = s.memoryKills, float64(s.memoryOver)
	e.PIDs.Kills, e.PIDs.MaxOver = s.pidsKills, float64(s.pidsOver)
	if e.CPU.Mechanism != skalds.MechanismNone {
		e.CPU.MaxOver = s.cpuOver
	}
	return e
}
