package controllertest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/testlog"
)

// World is a real controller behind real HTTP; its store, its bus and its only node are in memory.
type World struct {
	URL  string
	Host *Host // "node-1"; each task of it uses a quarter of a core and 8 MiB
}

// WorldConfig says what a test wants of its world.
type WorldConfig struct {
	Version string // of the program
	Token   string // that REST asks for; empty: nobody is asked
	Page    http.Handler
	Worker  skalds.WorkerInfo // the only one of the node
}

// worldPatience bounds every wait: long enough for a machine that does ten other things.
const worldPatience = 30 * time.Second

// NewWorld starts one, which ends with the test, and returns when the node offers its worker.
func NewWorld(t testing.TB, cfg WorldConfig) *World {
	t.Helper()
	store, bus := NewStore(), NewBus()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &World{URL: "http://" + l.Addr().String(), Host: NewHost(bus, "node-1", cfg.Worker)}
	settings := controller.DefaultConfig()
	settings.ServerURL = w.URL
	c, err := controller.New(settings, store, bus, bus.Beats(), nil, testlog.New(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	rest := api.Config{Version: cfg.Version, Token: cfg.Token, Pulse: 50 * time.Millisecond}
	s := &httptest.Server{Listener: l, Config: &http.Server{
		Handler:     api.New(rest, c.Tasks(), c.Nodes(), c.Events(), c.Streams(), c.Health(), cfg.Page, testlog.New(t)),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}}
	s.Start()
	w.Host.Usage = skalds.Usage{CPUCores: 0.25, MemoryBytes: 8 << 20}
	w.Host.Enforcement = skalds.Enforcement{
		Memory: skalds.Enforced{Mechanism: skalds.MechanismWatchdog, Overshoot: "allocation rate × 0.15 s", Kills: 3, MaxOver: 1.25 * (1 << 20)},
		CPU:    skalds.Enforced{Mechanism: skalds.MechanismNone},
		PIDs:   skalds.Enforced{Mechanism: skalds.MechanismCgroup2, Overshoot: "none"},
	}
	w.Host.Start()
	t.Cleanup(func() {
		w.Host.Kill()
		cancel()
		s.Close()
		if err := <-ran; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	w.Until(t, "the node offers its worker", func() bool {
		list, err := c.Nodes().Workers(ctx)
		return err == nil && len(list) == 1
	})
	return w
}

// Until waits for a condition that becomes true by itself.
func (w *World) Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(worldPatience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// ForEver is what a Host does with tasks that run until they are stopped.
func ForEver(skalds.Command, int) Plan { return Plan{Runs: -1} }
