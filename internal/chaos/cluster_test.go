//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/faultproxy"
	"github.com/skalds-go/skalds/internal/history"
)

// patience bounds what must happen in the end, on a machine that does ten other things.
const patience = 5 * time.Minute

// cluster is controllers and hosts, each a process, with proxies on the way from each to each service.
type cluster struct {
	t           testing.TB
	dir         string
	lease       time.Duration
	rec         *history.Recorder
	controllers []*member
	hosts       []*member // those of controllers among them, where they have some
	clients     []*client.Client
	ways        map[string]*faultproxy.Proxy // by "member service"
	services    []*service                   // that lie outside of its programs

	mu      sync.Mutex // guards strange and ending
	strange []string
	ending  bool
}

func newCluster(t testing.TB, dir string, lease time.Duration) *cluster {
	t.Helper()
	rec, err := history.Record(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: dir, lease: lease, rec: rec, ways: map[string]*faultproxy.Proxy{}}
	t.Cleanup(func() {
		c.stop()
		for _, cl := range c.clients {
			_ = cl.Close()
		}
		for name, p := range c.ways {
			if err := p.Close(); err != nil {
				t.Errorf("close the way %s: %v", name, err)
			}
		}
		if err := rec.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// add makes a member of the cluster, which is not started yet.
func (c *cluster) add(name string, env []string, args ...string) *member {
	m := &member{name: name, args: args, env: env, dir: c.dir}
	m.strange = func(text string) {
		c.note("%s", text)
		c.mu.Lock()
		ending := c.ending
		c.strange = append(c.strange, text)
		c.mu.Unlock()
		if !ending {
			if err := m.start(); err != nil {
				c.note("%v", err)
			}
		}
	}
	return m
}

// note tells what happens to the cluster.
func (c *cluster) note(format string, args ...any) {
	_ = c.rec.Add(history.Event{Kind: history.Fault, Text: fmt.Sprintf(format, args...)}) // Close tells
}

// way makes a proxy between a member and a service.
func (c *cluster) way(member, service, target string) string {
	c.t.Helper()
	p, err := faultproxy.Start(faultproxy.Config{Target: target, Kafka: service == "kafka"})
	if err != nil {
		c.t.Fatal(err)
	}
	c.ways[member+" "+service] = p
	return p.Addr()
}

// standalone starts a cluster around one program that is controller, host, bus, Redis and store, with so many hosts beside it.
func standalone(t testing.TB, dir string, hosts int, lease time.Duration) *cluster {
	t.Helper()
	c := newCluster(t, dir, lease)
	share := strconv.FormatFloat(1/float64(hosts+1), 'g', 3, 64)
	hub := c.add("hub", []string{"SKALDS_LEASE=" + lease.String()}, "standalone", "--data-dir", filepath.Join(dir, "hub"), "--node-id", "hub",
		"--listen", freePort(t))
	c.controllers, c.hosts = append(c.controllers, hub), append(c.hosts, hub)
	c.start(hub)
	var join embedded.Join
	c.until("the standalone has written its join file", func(context.Context) bool {
		var err error
		join, err = embedded.ReadJoin(filepath.Join(dir, "hub"))
		return err == nil && join.Server != ""
	})
	c.clients = append(c.clients, client.New(join.Server, join.Token))
	for i := range hosts {
		name := fmt.Sprintf("host-%d", i+1)
		own := join
		own.KafkaBrokers = []string{c.way(name, "kafka", join.KafkaBrokers[0])}
		own.RedisAddr = c.way(name, "redis", join.RedisAddr)
		b, err := json.Marshal(own)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".join.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		h := c.add(name, nil, "host", "--mode", "node", "--join", path, "--data-dir", filepath.Join(dir, name), "--node-id", name, "--capacity-share", share)
		c.hosts = append(c.hosts, h)
		c.start(h)
	}
	c.online()
	return c
}

// distributed starts a cluster of controllers and hosts over services.
func distributed(t testing.TB, dir string, services []*service, controllers, hosts int, lease time.Duration) *cluster {
	t.Helper()
	return misled(t, dir, services, controllers, hosts, lease, lease)
}

// misled is distributed where hosts may be told another lease than controllers are.
func misled(t testing.TB, dir string, services []*service, controllers, hosts int, lease, leaseOfHosts time.Duration) *cluster {
	t.Helper()
	c := newCluster(t, dir, lease)
	c.services = services
	env := func(name string, lease time.Duration) []string {
		out := []string{"SKALDS_LEASE=" + lease.String()}
		for _, s := range services {
			out = append(out, s.env(c.way(name, s.name, s.target))...)
		}
		return out
	}
	for i := range controllers {
		name, addr := fmt.Sprintf("controller-%d", i+1), freePort(t)
		m := c.add(name, env(name, lease), "controller", "--listen", addr, "--data-dir", filepath.Join(dir, name))
		c.controllers, c.clients = append(c.controllers, m), append(c.clients, client.New(addr, ""))
		c.start(m)
	}
	share := strconv.FormatFloat(1/float64(hosts), 'g', 3, 64)
	for i := range hosts {
		name := fmt.Sprintf("host-%d", i+1)
		m := c.add(name, env(name, leaseOfHosts), "host", "--mode", "node", "--data-dir", filepath.Join(dir, name), "--node-id", name, "--capacity-share", share)
		c.hosts = append(c.hosts, m)
		c.start(m)
	}
	c.online()
	return c
}

func (c *cluster) start(m *member) {
	c.t.Helper()
	if err := m.start(); err != nil {
		c.t.Fatal(err)
	}
}

// online waits until every controller shows every host.
func (c *cluster) online() {
	c.t.Helper()
	for i, cl := range c.clients {
		c.until(fmt.Sprintf("controller %d shows all nodes", i+1), func(ctx context.Context) bool {
			nodes, err := cl.Nodes(ctx, "", "online")
			return err == nil && len(nodes.Items) == len(c.hosts)
		})
		c.until(fmt.Sprintf("controller %d knows the worker", i+1), func(ctx context.Context) bool {
			list, err := cl.Workers(ctx)
			return err == nil && len(list.Items) == 1
		})
	}
}

// until waits until ok is true; each call of it has a short deadline.
func (c *cluster) until(what string, ok func(ctx context.Context) bool) {
	c.t.Helper()
	c.moving(what, func(ctx context.Context) (done, moved bool) { return ok(ctx), false })
}

// moving waits until something is done, for as long as it moves.
func (c *cluster) moving(what string, look func(ctx context.Context) (done, moved bool)) {
	c.t.Helper()
	for end := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		done, moved := look(ctx)
		cancel()
		if done {
			return
		}
		if moved {
			end = time.Now().Add(patience)
		}
		if time.Now().After(end) {
			c.t.Fatalf("never happened: %s; look into %s", what, c.dir)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// members are all programs, each once.
func (c *cluster) members() []*member {
	out := append([]*member(nil), c.controllers...)
	for _, h := range c.hosts {
		if !contains(c.controllers, h) {
			out = append(out, h)
		}
	}
	return out
}

func contains(list []*member, m *member) bool {
	for _, x := range list {
		if x == m {
			return true
		}
	}
	return false
}

// leader is the controller whose log says last that it leads; it is empty where none does.
func (c *cluster) leader() []*member {
	var out []*member
	newest := ""
	for _, m := range c.controllers {
		text, err := os.ReadFile(m.logPath())
		if err != nil {
			continue
		}
		all := leads.FindAllSubmatch(text, -1)
		if len(all) == 0 {
			continue
		}
		if term := string(all[len(all)-1][1]); term > newest { // ms since epoch, of as many digits for the next 200 years
			out, newest = []*member{m}, term
		}
	}
	return out
}

// leads is how a controller says that it leads, in which term.
var leads = regexp.MustCompile(`this controller leads: .*term=(\d+)`)

// heal takes every fault away and starts what does not run.
func (c *cluster) heal() {
	c.t.Helper()
	for name, p := range c.ways {
		if err := p.Set(faultproxy.Fault{}); err != nil {
			c.t.Fatalf("the way %s: %v", name, err)
		}
	}
	for _, s := range c.services {
		if s.start == nil {
			continue
		}
		if err := s.start(); err != nil { // it says so where it runs
			c.t.Fatal(err)
		}
	}
	for _, m := range c.members() {
		m.signal(syscall.SIGCONT)
		c.start(m)
	}
}

// stop ends all programs as a user does, hosts first, and looks for what is left.
func (c *cluster) stop() {
	c.t.Helper()
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	var wg sync.WaitGroup
	end := func(list []*member) {
		for _, m := range list {
			m.signal(syscall.SIGCONT)
			wg.Go(func() {
				if err := m.end(syscall.SIGTERM, patience/3); err != nil {
					c.t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	end(c.hosts)
	end(c.controllers)
	left := processes(built.dir)
	for end := time.Now().Add(20 * time.Second); len(left) > 0 && time.Now().Before(end); left = processes(built.dir) {
		time.Sleep(50 * time.Millisecond)
	}
	for _, p := range left {
		c.t.Errorf("process %d is left behind: %s", p.pid, p.args)
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
}

// logs is the end of what every program has said.
func (c *cluster) logs(lines int) string {
	var b strings.Builder
	for _, m := range c.members() {
		text, err := os.ReadFile(m.logPath())
		if err != nil {
			continue
		}
		all := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&b, "--- %s\n%s\n", m.name, strings.Join(all[max(0, len(all)-lines):], "\n"))
	}
	return b.String()
}

// freePort is an address below the ports that systems hand to outgoing connections and other tests choose from, so that it is free after
// a restart, too.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.N(5000))))
		if err != nil {
			continue
		}
		addr := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return addr
	}
	t.Fatal("no port is free")
	return ""
}

// memberOf and serviceOf are the ends of a way.
func memberOf(way string) string  { m, _, _ := strings.Cut(way, " "); return m }
func serviceOf(way string) string { _, s, _ := strings.Cut(way, " "); return s }
