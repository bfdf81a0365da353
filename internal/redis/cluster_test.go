package redis_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/host"
	"github.com/skalds-go/skalds/internal/porttest"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
)

// cluster is three servers that share the keys.
type cluster struct {
	servers []*real
	cfg     redis.Config
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{cfg: redis.Config{Cluster: true}}
	const slots, members = 16384, 3
	var addrs []string
	for i := range members {
		r := startReal(t, "REDIS_OPTIONS=--cluster-enabled yes --cluster-node-timeout 2000 --cluster-require-full-coverage no")
		c.servers = append(c.servers, r)
		addrs = append(addrs, r.config().Addr)
		cl := driver.NewClient(&driver.Options{Addr: r.config().Addr})
		defer func() { _ = cl.Close() }()
		must(t, cl.ClusterAddSlotsRange(t.Context(), i*slots/members, (i+1)*slots/members-1).Err())
		must(t, cl.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		must(t, cl.ClusterMeet(t.Context(), "127.0.0.1", fmt.Sprint(c.servers[0].port)).Err())
	}
	c.cfg.Addr = strings.Join(addrs, ",")
	for _, a := range addrs {
		cl := driver.NewClient(&driver.Options{Addr: a})
		defer func() { _ = cl.Close() }()
		eventually(t, "the members of the cluster know each other", func() bool {
			info := cl.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_assigned:16384") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok says true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(60 * time.Second); !ok(); {
		select {
		case <-end:
			t.Fatalf("not seen within a minute: %s", what)
		case <-tick.C:
		}
	}
}

// TestCluster has the keys on three real servers.
func TestCluster(t *testing.T) {
	c := startCluster(t)
	t.Run("heartbeats", func(t *testing.T) {
		porttest.RunHeartbeats(t, func(t testing.TB) porttest.Heartbeats { return redis.NewHeartbeatStore(c.cfg, testlog.New(t)) })
	})
	t.Run("cache", func(t *testing.T) {
		porttest.RunCache(t, func(t testing.TB) host.Cache {
			cache := redis.NewCache(c.cfg)
			t.Cleanup(func() { must(t, cache.Close()) })
			return cache
		})
	})
	t.Run("nodes of all servers", func(t *testing.T) {
		s := openBeats(t, c.cfg)
		used := map[string]bool{}
		all := driver.NewClusterClient(&driver.ClusterOptions{Addrs: strings.Split(c.cfg.Addr, ",")})
		defer func() { _ = all.Close() }()
		for i := range 20 {
			id := fmt.Sprintf("py-%d", i)
			must(t, all.HSet(t.Context(), "skalds:mode:hash", id, "node").Err())
			must(t, all.Set(t.Context(), "skalds:"+id+":heartbeat", i, 8*time.Second).Err())
			must(t, all.Set(t.Context(), "task:"+id+":heartbeat", i, time.Minute).Err())
			server, err := all.MasterForKey(t.Context(), "skalds:"+id+":heartbeat")
			must(t, err)
			used[server.Options().Addr] = true
		}
		if len(used) != 3 {
			t.Fatalf("the keys lie on %d servers", len(used))
		}
		nodes, err := s.OriginalNodes(t.Context())
		must(t, err)
		var ids []string
		for _, n := range nodes {
			if n.Left > 0 {
				ids = append(ids, n.ID)
			}
		}
		if len(ids) != 20 {
			t.Errorf("%d nodes beat, want 20", len(ids))
		}
		tasks, err := s.OriginalTasks(t.Context(), ids)
		must(t, err)
		for id, task := range tasks {
			if !task.Beating() {
				t.Errorf("task %s does not beat", id)
			}
		}
		// A list of classes is replaced as on one server.
		h := heartbeat()
		for _, id := range []string{"n1", "n2", "n3", "odd{id}", "odder}{"} {
			h.NodeID = id
			for range 2 {
				must(t, s.Beat(t.Context(), h, time.Minute))
				if got := all.LRange(t.Context(), "skalds:"+id+":allow-task-class-name", 0, -1).Val(); strings.Join(got, " ") != "Recorder Detector" {
					t.Errorf("the classes of %s are %v", id, got)
				}
			}
		}
	})
	t.Run("replicas that are not there", func(t *testing.T) {
		cfg := c.cfg
		cfg.MinReplicas = 1
		if err := openBeats(t, cfg).Beat(t.Context(), heartbeat(), time.Minute); err == nil || !strings.Contains(err.Error(), "0 of 1 replicas") {
			t.Errorf("a heartbeat without a replica: %v", err)
		}
	})
	t.Run("a user of its own", func(t *testing.T) {
		rules := append([]any{"ACL", "SETUSER", "skalds", "on", ">secret"}, append(documentedACL(t), "+command", "+cluster|slots", "+asking", "+wait")...)
		for _, a := range strings.Split(c.cfg.Addr, ",") {
			cl := driver.NewClient(&driver.Options{Addr: a})
			defer func() {
				log, err := cl.ACLLog(t.Context(), 10).Result()
				must(t, err)
				for _, l := range log {
					t.Errorf("%s has refused %s %s", a, l.Username, l.Object)
				}
				_ = cl.Close()
			}()
			must(t, cl.Do(t.Context(), rules...).Err())
		}
		cfg := c.cfg
		cfg.Username, cfg.Password = "skalds", "secret"
		must(t, everything(t, cfg))
		cfg.MinReplicas = 1
		if err := openBeats(t, cfg).Beat(t.Context(), heartbeat(), time.Minute); err == nil || !strings.Contains(err.Error(), "0 of 1 replicas") {
			t.Errorf("a heartbeat without a replica: %v", err)
		}
	})
	t.Run("without saying so", func(t *testing.T) {
		cfg := c.cfg
		cfg.Cluster = false
		var seen []string
		for _, a := range strings.Split(c.cfg.Addr, ",") {
			cfg.Addr = a
			if err := openBeats(t, cfg).Beat(t.Context(), heartbeat(), time.Minute); err != nil {
				seen = append(seen, err.Error())
			}
		}
		if len(seen) != 2 || !strings.Contains(seen[0], "set REDIS_CLUSTER=true") {
			t.Errorf("two of three servers say that they do not have the key, and what to do: %q", seen)
		}
	})
	t.Run("a member away", func(t *testing.T) { memberAway(t, c) })
}

// memberAway freezes each server: heartbeats get through or fail in time, and what is read is whole or an error.
func memberAway(t *testing.T, c *cluster) {
	s := openBeats(t, c.cfg)
	h := heartbeat()
	h.Instances = nil
	for i := range 30 { // tasks on all servers
		h.Instances = append(h.Instances, skalds.InstanceStatus{TaskID: fmt.Sprintf("t%d", i), ClassName: "Recorder", State: skalds.Running})
	}
	ids := make([]string, 0, 30)
	for _, in := range h.Instances {
		ids = append(ids, in.TaskID)
	}
	must(t, s.Beat(t.Context(), h, time.Minute))
	through := 0
	for i, r := range c.servers {
		r.signal(syscall.SIGSTOP)
		h.Seq++
		start := time.Now()
		err := s.Beat(t.Context(), h, time.Minute)
		if took := time.Since(start); took > 5*500*time.Millisecond {
			t.Errorf("server %d away: it took %v to give up after 500 ms", i, took)
		}
		if err == nil {
			through++
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if tasks, err := s.OriginalTasks(ctx, ids); err == nil {
			t.Errorf("server %d away: %d tasks were read, and some cannot have been", i, len(tasks))
		}
		cancel()
		r.signal(syscall.SIGCONT)
		eventually(t, "heartbeats and tasks after the server is back", func() bool {
			h.Seq++
			if s.Beat(t.Context(), h, time.Minute) != nil {
				return false
			}
			tasks, err := s.OriginalTasks(t.Context(), ids)
			return err == nil && tasks[ids[0]].Beating()
		})
	}
	if through < 2 {
		t.Errorf("heartbeats got through while one of three servers was away %d times of 3, want 2: only one has their key", through)
	}
}
