package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/internal/servicemanager"
)

const (
	// startLook and laterLook are the times between two looks at how the program is, before it is up and after.
	startLook = 100 * time.Millisecond
	laterLook = 5 * time.Second
	// looksPerWatchdog is how often it is looked within the time after which the service manager kills us.
	looksPerWatchdog = 4
)

type managerKey struct{}

// withManager makes the service manager known to the command that is run.
func withManager(ctx context.Context, n *servicemanager.Notifier) context.Context {
	return context.WithValue(ctx, managerKey{}, n)
}

// managerOf is nil where nobody is to be told.
func managerOf(ctx context.Context) *servicemanager.Notifier {
	n, _ := ctx.Value(managerKey{}).(*servicemanager.Notifier)
	return n
}

// tellManager makes the service that tells the service manager how the program is: once that it is up, a line for people whenever
// that changes, that it is alive as long as everything moves, and that it stops, as soon as program ends. A look that never returns
// counts as one that found something stuck.
func tellManager(program context.Context, look func(context.Context) standing, log hclog.Logger) func(context.Context) error {
	t := &manager{notifier: managerOf(program), look: look, log: log.Named("manager")}
	return func(ctx context.Context) error { t.run(program, ctx); return nil }
}

type manager struct {
	notifier *servicemanager.Notifier
	look     func(context.Context) standing
	log      hclog.Logger

	up    bool
	said  string // the last status
	stuck string
	deaf  bool // the last message did not get through
}

func (m *manager) run(program, ctx context.Context) {
	if m.notifier == nil {
		<-ctx.Done()
		return
	}
	looks, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan standing, 1)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-program.Done():
			m.tell(m.notifier.Stopping(fmt.Sprint("stopping: ", context.Cause(program))))
			return
		case <-ctx.Done():
			m.tell(m.notifier.Stopping("stopping"))
			return
		case <-next.C:
			go func() { found <- m.look(looks) }()
		case s := <-found:
			if looks.Err() == nil {
				m.saw(s)
			}
			next.Reset(m.pause())
		}
	}
}

// pause is the time until the next look.
func (m *manager) pause() time.Duration {
	p := laterLook
	if !m.up {
		p = startLook
	}
	if w := m.notifier.Watchdog(); w > 0 {
		p = min(p, w/looksPerWatchdog)
	}
	return p
}

// saw says what is new.
func (m *manager) saw(s standing) {
	if s.stuck != "" {
		if m.stuck == "" {
			m.log.Error("the program stands still: the service manager is not told any more that it is alive", "reason", s.stuck)
		}
		s.text = "stuck: " + s.stuck
	}
	m.stuck = s.stuck
	switch {
	case s.up && !m.up:
		m.up = true
		m.tell(m.notifier.Ready(s.text))
	case s.text != m.said:
		m.tell(m.notifier.Status(s.text))
	}
	m.said = s.text
	if m.notifier.Watchdog() > 0 && s.stuck == "" {
		m.tell(m.notifier.Alive())
	}
}

// tell says once that the service manager does not hear.
func (m *manager) tell(err error) {
	if err != nil && !m.deaf {
		m.log.Warn("the service manager does not hear", "err", err)
	}
	m.deaf = err != nil
}
