package host_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/host"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

const patience = 60 * time.Second // servers start and restart on a busy machine

// desk is a controller's end that answers hellos and acknowledges outcomes over the real bus.
type desk struct {
	bus *kafka.ControllerBus

	mu        sync.Mutex
	partition int32
	hellos    int
	reports   []skalds.Report
	outcomes  map[skalds.OutcomeKey]skalds.Outcome
}

func (d *desk) take(ctx context.Context, m skalds.HostMessage, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case m.Hello != nil && m.Hello.Part == m.Hello.Parts:
		d.partition = m.Hello.Partition
		d.hellos++
		_ = d.bus.Send(ctx, d.partition, skalds.NodeMessage{NodeID: m.NodeID, Answer: &skalds.HelloAnswer{Incarnation: m.Incarnation, Number: m.Hello.Number, Generation: 1, Part: 1, Parts: 1}})
	case m.Report != nil:
		d.reports = append(d.reports, *m.Report)
	case m.Outcome != nil:
		d.outcomes[m.Outcome.OutcomeKey] = *m.Outcome
		_ = d.bus.Send(ctx, d.partition, skalds.NodeMessage{NodeID: m.NodeID, Acks: []skalds.OutcomeKey{m.Outcome.OutcomeKey}})
	}
}

func (d *desk) last(task string) (out skalds.Report) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.reports {
		if r.TaskID == task && r.State != "" {
			out = r
		}
	}
	return out
}

func (d *desk) hellosSeen() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hellos
}

func (d *desk) send(t *testing.T, do string, id string, epoch int64) {
	t.Helper()
	spec := skalds.Spec{ID: id, ClassName: "Script", Mode: skalds.ModePassive, IsPersistent: true, OnDisconnect: skalds.OnDisconnectKeep}
	spec.Attachments, _ = json.Marshal(map[string]string{"do": do})
	d.mu.Lock()
	p := d.partition
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := d.bus.Send(ctx, p, skalds.NodeMessage{NodeID: "n1", Command: &skalds.Command{
		TaskID: id, Generation: 1, Epoch: epoch, DesiredRevision: 1, Desired: skalds.DesiredRunning, Spec: &spec,
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func copySelf(t *testing.T, to string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Link(self, to) == nil {
		return
	}
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOverTheEmbeddedServers runs a host over the in-process bus and Redis, through a restart of both.
func TestOverTheEmbeddedServers(t *testing.T) {
	log := hclog.NewNullLogger()
	dir := t.TempDir()
	copySelf(t, filepath.Join(dir, "plugins", "scripted", "1.0.0", "scripted"))
	start := func() *embedded.Servers {
		s, err := embedded.Start(t.Context(), embedded.Config{DataDir: filepath.Join(dir, "servers"), Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := os.MkdirAll(filepath.Join(dir, "servers"), 0o755); err != nil {
		t.Fatal(err)
	}
	servers := start()
	t.Cleanup(func() { _ = servers.Close() })
	j := servers.Join()
	kcfg := kafka.Config{Brokers: j.KafkaBrokers, User: j.KafkaUser, Password: j.KafkaPassword}
	rcfg := redis.Config{Addr: j.RedisAddr, Password: j.RedisPassword}

	cbus, err := kafka.NewControllerBus(kcfg, log)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{bus: cbus, outcomes: map[skalds.OutcomeKey]skalds.Outcome{}}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		from := ""
		for ctx.Err() == nil {
			_ = cbus.Reports(ctx, from, nil, func(ctx context.Context, m skalds.HostMessage, next string) {
				d.take(ctx, m, next)
				from = next
			})
		}
	})
	hbus, err := kafka.NewHostBus(kcfg, log)
	if err != nil {
		t.Fatal(err)
	}
	beats, cache := redis.NewHeartbeatStore(rcfg, log), redis.NewCache(rcfg)
	launcher, err := plugins.NewLauncher(plugins.LauncherConfig{RunDir: filepath.Join(dir, "run")}, log)
	if err != nil {
		t.Fatal(err)
	}
	cfg := host.DefaultConfig()
	cfg.NodeID, cfg.DataDir, cfg.Edge, cfg.Lease, cfg.Grace = "n1", dir, false, 15*time.Second, 2*time.Second
	h, err := host.New(cfg, host.Deps{
		Catalog: plugins.NewCatalog(plugins.CatalogConfig{Dir: filepath.Join(dir, "plugins")}, log), Launcher: launcher,
		Sampler: procstats.New(), Bus: hbus, Beats: beats, Cache: cache,
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	hostCtx, stopHost := context.WithCancel(t.Context())
	hostDone := make(chan error, 1)
	go func() { hostDone <- h.Run(hostCtx) }()
	t.Cleanup(func() {
		stopHost()
		if err := <-hostDone; err != nil {
			t.Errorf("host: %v", err)
		}
		cancel()
		wg.Wait()
		for _, c := range []io.Closer{hbus, beats, cache, cbus} {
			_ = c.Close()
		}
	})

	until(t, "hello", func() bool { return d.hellosSeen() > 0 })
	d.send(t, "finish", "a", 1)
	until(t, "a command over the bus runs to its end", func() bool { return d.last("a").State == skalds.Finished })
	d.send(t, "cache", "c", 1)
	until(t, "a worker uses the shared cache", func() bool { return d.last("c").State == skalds.Finished })
	until(t, "the heartbeat is in Redis", func() bool {
		all, err := beats.Heartbeats(t.Context())
		return err == nil && len(all) == 1 && all[0].NodeID == "n1" && all[0].Capacity.MemoryBytes > 0
	})
	d.send(t, "wait", "w", 1)
	until(t, "a task runs", func() bool { return d.last("w").PID > 0 })
	pid := d.last("w").PID
	seen := d.hellosSeen()

	if err := servers.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	servers = start()
	until(t, "what happened during the outage is told", func() bool {
		r := d.last("w")
		return r.Attempt == 2 && r.PID != pid && r.PID > 0
	})
	until(t, "hello after the outage", func() bool { return d.hellosSeen() > seen })
	d.send(t, "finish", "b", 1)
	until(t, "commands are read again", func() bool { return d.last("b").State == skalds.Finished })
	until(t, "every outcome has arrived", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, k := range []skalds.OutcomeKey{
			{TaskID: "a", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeExit},
			{TaskID: "w", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeExit},
			{TaskID: "b", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeExit},
		} {
			if _, ok := d.outcomes[k]; !ok {
				return false
			}
		}
		return true
	})
}
