package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/host"
)

// Heartbeats is both sides of a heartbeat store.
type Heartbeats interface {
	controller.HeartbeatStore
	controller.ControllerRegistry
	host.HeartbeatStore
}

// RunHeartbeats checks a heartbeat store. open returns one, which the suite closes; other programs may use the same server.
func RunHeartbeats(t *testing.T, open func(t testing.TB) Heartbeats) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s Heartbeats, names *names)
	}{
		{"beat and read", beatsRead},
		{"expiry", beatsExpire},
		{"forget", beatsForget},
		{"many nodes at once", beatsMany},
		{"the ends of tasks", beatsTaskEnded},
		{"controllers", controllersAnnounced},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			if err := s.Ping(t.Context()); err != nil {
				t.Fatalf("ping: %v", err)
			}
			c.run(t, s, newNames(t))
		})
	}
}

const beatTTL = time.Minute

// heartbeat is a full one.
func heartbeat(node string, seq int64) skalds.Heartbeat {
	return skalds.Heartbeat{
		NodeID: node, Incarnation: 3, Seq: seq, At: 1000 + seq, Mode: skalds.NodeModeNode, Partition: 5,
		Capacity: skalds.Capacity{CPUCores: 4, MemoryBytes: 1 << 30}, Labels: map[string]string{"zone": "a"},
		Classes: []string{"Recorder", "Detector"}, Workers: []string{"w@1.0.0"},
		Instances: []skalds.InstanceStatus{{TaskID: node + "-task", ClassName: "Recorder", Epoch: 2, State: skalds.Running, PID: 77}},
	}
}

func find(t testing.TB, s Heartbeats, node string) *skalds.Heartbeat {
	t.Helper()
	all, err := s.Heartbeats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i].NodeID == node {
			return &all[i]
		}
	}
	return nil
}

func beat(t testing.TB, s Heartbeats, h skalds.Heartbeat, ttl time.Duration) {
	t.Helper()
	patiently(t, s, h, ttl)
	t.Cleanup(func() { _ = s.Forget(context.WithoutCancel(t.Context()), h.NodeID) }) // a real server keeps it for others
}

// patiently sends a heartbeat again until it gets through: on a busy machine one may take longer than it may.
func patiently(t testing.TB, s Heartbeats, h skalds.Heartbeat, ttl time.Duration) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		err := s.Beat(t.Context(), h, ttl)
		if err == nil {
			return
		}
		if !errors.Is(err, skalds.ErrUnavailable) || time.Now().After(end) {
			t.Errorf("beat: %v", err)
			return
		}
	}
}

func beatsRead(t *testing.T, s Heartbeats, names *names) {
	node := names.next("node")
	if _, _, found, err := s.PeekSeq(t.Context(), node); err != nil || found {
		t.Errorf("an unknown node: found %t, %v", found, err)
	}
	for seq := range int64(3) {
		beat(t, s, heartbeat(node, seq), beatTTL)
	}
	got := find(t, s, node)
	if got == nil {
		t.Fatal("the node is not listed")
	}
	same(t, "the heartbeat", *got, heartbeat(node, 2))
	incarnation, seq, found, err := s.PeekSeq(t.Context(), node)
	if err != nil || !found || incarnation != 3 || seq != 2 {
		t.Errorf("peek: incarnation %d, seq %d, found %t, %v", incarnation, seq, found, err)
	}
}

func beatsExpire(t *testing.T, s Heartbeats, names *names) {
	short, long := names.next("node"), names.next("node")
	beat(t, s, heartbeat(long, 1), beatTTL)
	start := time.Now()
	beat(t, s, heartbeat(short, 1), 2*time.Second)
	eventually(t, "the heartbeat expires", func() bool { return find(t, s, short) == nil })
	if took := time.Since(start); took < time.Second {
		t.Errorf("the heartbeat was gone after %v, its time to live was 2 s", took)
	}
	if find(t, s, long) == nil {
		t.Error("the heartbeat of another node is gone too")
	}
	if _, _, found, err := s.PeekSeq(t.Context(), short); err != nil || found {
		t.Errorf("an expired node: found %t, %v", found, err)
	}
}

func beatsForget(t *testing.T, s Heartbeats, names *names) {
	one, two := names.next("node"), names.next("node")
	beat(t, s, heartbeat(one, 1), beatTTL)
	beat(t, s, heartbeat(two, 1), beatTTL)
	if err := s.Forget(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if find(t, s, one) != nil || find(t, s, two) == nil {
		t.Error("the wrong node was forgotten")
	}
	if err := s.Forget(t.Context(), one); err != nil {
		t.Errorf("forgetting a node twice: %v", err)
	}
}

func beatsMany(t *testing.T, s Heartbeats, names *names) {
	const nodes = 20
	var wg sync.WaitGroup
	ids := make([]string, nodes)
	for i := range ids {
		ids[i] = names.next("node")
		wg.Go(func() {
			for seq := range int64(5) {
				patiently(t, s, heartbeat(ids[i], seq), beatTTL)
			}
		})
	}
	wg.Wait()
	all, err := s.Heartbeats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int64{}
	for i := range all {
		seen[all[i].NodeID] = all[i].Seq
	}
	for _, id := range ids {
		if seen[id] != 4 {
			t.Errorf("node %s: seq %d, want 4", id, seen[id])
		}
		if err := s.Forget(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

func beatsTaskEnded(t *testing.T, s Heartbeats, names *names) {
	for _, st := range []skalds.State{skalds.Finished, skalds.Failed, skalds.Cancelled} {
		if err := s.TaskEnded(t.Context(), names.next("task"), st, "it broke"); err != nil {
			t.Errorf("%s: %v", st, err)
		}
	}
	if err := s.TaskEnded(t.Context(), names.next("task"), skalds.Running, ""); err == nil {
		t.Error("Running was taken for an end")
	}
}

// RunCache checks a host.Cache.
func RunCache(t *testing.T, open func(t testing.TB) host.Cache) {
	c, names := open(t), newNames(t)
	get := func(t testing.TB, key string) []byte {
		t.Helper()
		v, found, err := c.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if !found && v != nil {
			t.Errorf("a missing value is %q", v)
		}
		if found && v == nil {
			v = []byte{}
		}
		return v
	}
	set := func(t testing.TB, key string, v []byte, ttl time.Duration) {
		t.Helper()
		if err := c.Set(t.Context(), key, v, ttl); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("set, get, delete", func(t *testing.T) {
		key := names.next("task/key")
		if v := get(t, key); v != nil {
			t.Errorf("an unknown key holds %q", v)
		}
		for _, v := range [][]byte{[]byte("a"), {}, {0, 255, '\n'}, bytes.Repeat([]byte("x"), 1<<20)} {
			set(t, key, v, 0)
			if got := get(t, key); !bytes.Equal(got, v) || got == nil {
				t.Errorf("set %d bytes, got %d", len(v), len(got))
			}
		}
		for range 2 {
			if err := c.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		if v := get(t, key); v != nil {
			t.Errorf("a deleted key holds %d bytes", len(v))
		}
	})
	t.Run("time to live", func(t *testing.T) {
		short, long := names.next("task/short"), names.next("task/long")
		set(t, long, []byte("stays"), 0)
		set(t, short, []byte("goes"), 300*time.Millisecond)
		if v := get(t, short); v == nil {
			t.Error("gone at once")
		}
		eventually(t, "the value expires", func() bool { return get(t, short) == nil })
		if get(t, long) == nil {
			t.Error("the value without a time to live is gone")
		}
		set(t, short, []byte("goes"), 300*time.Millisecond)
		set(t, short, []byte("stays now"), 0)
		time.Sleep(400 * time.Millisecond) // nothing to be seen may happen
		if get(t, short) == nil {
			t.Error("the time to live of an earlier value has taken a later one")
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 10 {
			key := names.next("task/many")
			wg.Go(func() {
				for n := range 20 {
					v := fmt.Appendf(nil, "%d-%d", i, n)
					if err := c.Set(t.Context(), key, v, time.Minute); err != nil {
						t.Error(err)
						return
					}
					if got, _, err := c.Get(t.Context(), key); err != nil || !bytes.Equal(got, v) {
						t.Errorf("set %s, got %s, %v", v, got, err)
					}
				}
			})
		}
		wg.Wait()
	})
}
