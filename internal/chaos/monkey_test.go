//go:build linux

package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/skalds-go/skalds/internal/faultproxy"
)

// Harm comes in storms, with lulls between them in which what was harmed can go on: otherwise a busy machine does nothing but recover,
// and no task is there to be harmed.
const (
	stormLasts = 20 * time.Second
	lullLasts  = 10 * time.Second
)

// monkey does one harm after the other. It belongs to its goroutine.
type monkey struct {
	c     *cluster
	rng   *rand.Rand
	harms []harm
	pause time.Duration // between two, at most
	done  map[string]int
}

// harm is something that is done to the cluster for a while. It returns what undoes it; nil: nothing could be done.
type harm struct {
	name string
	do   func(m *monkey) (undo func())
	long bool // it lasts longer than a lease
}

// run does harm for a time, or until ctx ends, and undoes the last. Every harm has its turn before one comes again; one that could not be
// done tries again in the next round. With all it goes on until each was done.
func (m *monkey) run(ctx context.Context, duration time.Duration, all bool) {
	m.done = map[string]int{}
	begun := time.Now()
	for {
		for _, i := range m.rng.Perm(len(m.harms)) {
			if in := time.Since(begun) % (stormLasts + lullLasts); in > stormLasts {
				wait(ctx, stormLasts+lullLasts-in)
			}
			over := time.Since(begun) >= duration && !(all && len(m.done) < len(m.harms))
			if over || ctx.Err() != nil {
				return
			}
			h := m.harms[i]
			if undo := h.do(m); undo != nil {
				m.done[h.name]++
				wait(ctx, m.while(h.long))
				undo()
			}
			wait(ctx, m.upTo(m.pause))
		}
	}
}

func (m *monkey) upTo(d time.Duration) time.Duration {
	return time.Duration(m.rng.Int64N(int64(d) + 1))
}

// while is how long a harm lasts: mostly a moment, sometimes longer than a lease.
func (m *monkey) while(long bool) time.Duration {
	switch {
	case long:
		return m.c.lease + time.Second + m.upTo(4*time.Second)
	case m.rng.IntN(4) == 0:
		return m.upTo(m.c.lease + 5*time.Second)
	}
	return m.upTo(2 * time.Second)
}

// pick takes one of the members that no other harm has; nil: there is none.
func (m *monkey) pick(list []*member) *member {
	for _, i := range m.rng.Perm(len(list)) {
		if list[i].hold() {
			if list[i].pid() != 0 {
				return list[i]
			}
			list[i].release()
		}
	}
	return nil
}

// again starts a member and gives it back.
func (m *monkey) again(x *member) {
	m.c.note("start %s", x.name)
	if err := x.start(); err != nil {
		m.c.t.Error(err)
	}
	x.release()
}

// killed ends a member of a list by a signal, and starts it again.
func killed(name string, of func(*cluster) []*member, s syscall.Signal) harm {
	return harm{name: name, do: func(m *monkey) func() {
		x := m.pick(of(m.c))
		if x == nil {
			return nil
		}
		m.c.note("%s: %s", name, x.name)
		if err := x.end(s, patience/3); err != nil {
			m.c.t.Error(err)
		}
		return func() { m.again(x) }
	}}
}

// frozen stops a member of a list for a while; long: for longer than any lease.
func frozen(name string, of func(*cluster) []*member, long bool) harm {
	return harm{name: name, long: long, do: func(m *monkey) func() {
		x := m.pick(of(m.c))
		if x == nil {
			return nil
		}
		m.c.note("%s: %s", name, x.name)
		x.signal(syscall.SIGSTOP)
		return func() {
			m.c.note("thaw %s", x.name)
			x.signal(syscall.SIGCONT)
			x.release()
		}
	}}
}

// watcher sends a signal to the process that watches over a host, and to the host as well where both is true.
func watcher(name string, s syscall.Signal, both bool) harm {
	return harm{name: name, do: func(m *monkey) func() {
		x := m.pick(m.c.hosts)
		if x == nil {
			return nil
		}
		shim, ok := shimOf(x.pid())
		if !ok {
			x.release()
			return nil
		}
		m.c.note("%s: %s, process %d", name, x.name, shim.pid)
		_ = syscall.Kill(shim.pid, s)
		switch {
		case both && s == syscall.SIGKILL:
			if err := x.end(s, patience/3); err != nil {
				m.c.t.Error(err)
			}
		case both:
			x.signal(s)
		}
		return func() {
			if s != syscall.SIGKILL {
				m.c.note("thaw %s and process %d", x.name, shim.pid)
				x.signal(syscall.SIGCONT)
				thaw(shim)
			}
			m.again(x)
		}
	}}
}

func thaw(p process) {
	if p.lives() {
		_ = syscall.Kill(p.pid, syscall.SIGCONT)
	}
}

// worker sends a signal to some processes of tasks.
func worker(name string, s syscall.Signal) harm {
	return harm{name: name, do: func(m *monkey) func() {
		list := workers()
		if len(list) == 0 {
			return nil
		}
		m.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = list[:min(len(list), 1+m.rng.IntN(3))]
		for _, p := range list {
			m.c.note("%s: process %d", name, p.pid)
			_ = syscall.Kill(p.pid, s)
		}
		return func() {
			for _, p := range list {
				thaw(p)
			}
		}
	}}
}

// harmsToProcesses are what befalls programs.
func harmsToProcesses() []harm {
	hosts := func(c *cluster) []*member { return c.hosts }
	controllers := func(c *cluster) []*member { return c.controllers }
	return []harm{
		killed("kill a host", hosts, syscall.SIGKILL), killed("stop a host", hosts, syscall.SIGTERM), frozen("freeze a host", hosts, false),
		frozen("freeze a host for longer than its lease", hosts, true),
		killed("kill a controller", controllers, syscall.SIGKILL), killed("stop a controller", controllers, syscall.SIGTERM), frozen("freeze a controller", controllers, false),
		killed("kill the leader", (*cluster).leader, syscall.SIGKILL), frozen("freeze the leader for longer than its lease", (*cluster).leader, true),
		watcher("kill a shim", syscall.SIGKILL, false), watcher("freeze a shim", syscall.SIGSTOP, false),
		watcher("kill a host and its shim", syscall.SIGKILL, true), watcher("freeze a host and its shim", syscall.SIGSTOP, true),
		worker("kill workers", syscall.SIGKILL), worker("freeze workers", syscall.SIGSTOP),
	}
}

// shut is a way on which nothing passes.
func shut(m *monkey) (string, faultproxy.Fault) {
	if m.rng.IntN(2) == 0 {
		return "refuse", faultproxy.Fault{Refuse: true}
	}
	return "stall", faultproxy.Fault{Stall: true}
}

// bad is a way that something is wrong with.
func bad(m *monkey) (string, faultproxy.Fault) {
	switch m.rng.IntN(4) {
	case 0, 1:
		return shut(m)
	case 2:
		d := m.upTo(300 * time.Millisecond)
		return "delay by " + d.String(), faultproxy.Fault{Delay: d}
	}
	n := 1 + m.rng.Int64N(4096)
	return fmt.Sprintf("cut after %d bytes", n), faultproxy.Fault{CutAfter: n}
}

// ways does one harm to all ways that a choice takes.
func ways(name string, choose func(m *monkey, all []string) []string, bad func(m *monkey) (string, faultproxy.Fault)) harm {
	return harm{name: name, do: func(m *monkey) func() {
		all := slices.Sorted(maps.Keys(m.c.ways))
		if len(all) == 0 {
			return nil
		}
		chosen := choose(m, all)
		what, fault := bad(m)
		m.c.note("%s: %s: %v", name, what, chosen)
		set := func(f faultproxy.Fault) {
			for _, w := range chosen {
				if err := m.c.ways[w].Set(f); err != nil {
					m.c.t.Errorf("the way %s: %v", w, err)
				}
			}
		}
		set(fault)
		return func() {
			m.c.note("heal %v", chosen)
			set(faultproxy.Fault{})
		}
	}}
}

// harmsToWays are what befalls the network.
func harmsToWays() []harm {
	part := func(of func(way string) string) func(m *monkey, all []string) []string {
		return func(m *monkey, all []string) []string {
			want := of(all[m.rng.IntN(len(all))])
			return slices.DeleteFunc(slices.Clone(all), func(w string) bool { return of(w) != want })
		}
	}
	cutOff := ways("cut a host off", func(m *monkey, all []string) []string {
		host := m.c.hosts[m.rng.IntN(len(m.c.hosts))].name
		return slices.DeleteFunc(slices.Clone(all), func(w string) bool { return memberOf(w) != host })
	}, shut)
	cutOff.long = true
	return []harm{
		cutOff,
		ways("one way", part(func(way string) string { return way }), bad),
		ways("all ways of a program", part(memberOf), bad),
		ways("all ways to a service", part(serviceOf), bad),
		{name: "reset all connections", do: func(m *monkey) func() {
			m.c.note("reset all connections")
			for _, p := range m.c.ways {
				p.Reset()
			}
			return func() {}
		}},
	}
}

// harmsToServices are what befalls services that are processes.
func harmsToServices(services []*service) (list []harm) {
	for _, s := range services {
		if s.pid == nil {
			continue
		}
		list = append(list, harm{name: "kill " + s.name, do: func(m *monkey) func() {
			pid := s.pid()
			if pid == 0 {
				return nil
			}
			m.c.note("kill %s", s.name)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return func() {
				m.c.note("start %s", s.name)
				if err := s.start(); err != nil {
					m.c.t.Error(err)
				}
			}
		}}, harm{name: "freeze " + s.name, do: func(m *monkey) func() {
			pid := s.pid()
			if pid == 0 {
				return nil
			}
			m.c.note("freeze %s", s.name)
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			return func() {
				m.c.note("thaw %s", s.name)
				_ = syscall.Kill(pid, syscall.SIGCONT)
			}
		}})
	}
	return list
}
