package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/host"
	"github.com/skalds-go/skalds/internal/servicemanager"
)

const (
	// startLook and laterLook are the times between two looks at how the program is, before it is up and after.
	startLook = 100 * time.Millisecond
	laterLook = 5 * time.Second
	// looksPerWatchdog is how often it is looked within the time after which the service manager kills us.
	looksPerWatchdog = 4
	// answerWithin is how long our own REST may take.
	answerWithin = 5 * time.Second
)

// standing is how the program is.
type standing struct {
	up    bool
	text  string // one line for people
	stuck string // what will not go on by itself; empty: everything moves
}

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

// lookAtHost is a host by itself.
func lookAtHost(h *host.Host) func(context.Context) standing {
	return func(context.Context) standing {
		s := h.Standing()
		return standing{s.Up, s.Text, s.Stuck}
	}
}

// lookAtController is a controller that serves at an address: it is up when REST answers and the store is there.
func lookAtController(c *controller.Controller, h api.Health, at net.Addr) func(context.Context) standing {
	return func(ctx context.Context) standing {
		var s standing
		ready := h.Ready(ctx)
		answers := restAnswers(ctx, at)
		s.stuck = c.Stuck()
		if answers != nil && s.stuck == "" {
			s.stuck = answers.Error()
		}
		s.up = answers == nil && ready["store"] == ""
		var wrong []string
		for _, name := range slices.Sorted(maps.Keys(ready)) {
			if ready[name] != "" {
				wrong = append(wrong, name+": "+ready[name])
			}
		}
		s.text = "serves " + at.String()
		if len(wrong) > 0 {
			s.text += ", not ready: " + strings.Join(wrong, "; ")
		}
		return s
	}
}

// restAnswers asks our own REST as anybody would. Any answer that is no failure of the server will do: it may want another name for it.
func restAnswers(ctx context.Context, at net.Addr) error {
	addr := at.String()
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		addr = net.JoinHostPort("localhost", fmt.Sprint(tcp.Port))
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/livez", nil)
	if err != nil {
		return fmt.Errorf("ask REST: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("REST does not answer: %w", err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err == nil && res.StatusCode >= http.StatusInternalServerError {
		err = fmt.Errorf("it says %s", res.Status)
	}
	if err != nil {
		return fmt.Errorf("REST fails: %w", err)
	}
	return nil
}
