package redis_test

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/redis"
)

// counter stands before a server and counts questions: what a client says after it was answered. A greeting is none: the driver opens
// connections as it likes.
type counter struct {
	questions, sent, got atomic.Int64
}

// count starts one, and returns its address.
func (c *counter) count(t testing.TB, target string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			var asked, greeted atomic.Bool
			pump := func(from, to net.Conn, bytes *atomic.Int64, seen func()) {
				defer func() { _ = to.Close() }()
				b := make([]byte, 1<<20)
				for {
					n, err := from.Read(b)
					if n > 0 {
						bytes.Add(int64(n))
						seen()
						_, _ = to.Write(b[:n])
					}
					if err != nil {
						return
					}
				}
			}
			wg.Go(func() {
				pump(client, server, &c.sent, func() {
					if !asked.Swap(true) && greeted.Swap(true) {
						c.questions.Add(1)
					}
				})
			})
			wg.Go(func() { pump(server, client, &c.got, func() { asked.Store(false) }) })
		}
	})
	return l.Addr().String()
}

// busyNode is a node with so many tasks.
func busyNode(id string, tasks int) skalds.Heartbeat {
	h := heartbeat()
	h.NodeID, h.Instances = id, nil
	for i := range tasks {
		h.Instances = append(h.Instances, skalds.InstanceStatus{
			TaskID: fmt.Sprintf("%s-%d", id, i), ClassName: "Recorder", Epoch: 3, State: skalds.Running, Phase: "main", PID: 4000 + i, Worker: "recorder@1.2.0",
			StartedAt: 1795846140588,
		})
	}
	return h
}

// TestRoundTrips counts how often the server is asked: once for each heartbeat of a node, however many tasks it has, once for those
// of all nodes, and twice for all Python nodes.
func TestRoundTrips(t *testing.T) {
	var c counter
	target := given(t)
	s := openBeats(t, redis.Config{Addr: c.count(t, target)})
	for range 3 { // connects
		must(t, s.Beat(t.Context(), busyNode("cost", 0), time.Minute))
	}
	per := func(what string, times, want int64, do func() error) {
		t.Helper()
		asked, sent, got := c.questions.Load(), c.sent.Load(), c.got.Load()
		for range times {
			must(t, do())
		}
		asked, sent, got = c.questions.Load()-asked, c.sent.Load()-sent, c.got.Load()-got
		t.Logf("%s: %d questions, %d bytes there, %d back", what, asked/times, sent/times, got/times)
		if asked != want*times {
			t.Errorf("%s %d times: the server was asked %d times, want %d", what, times, asked, want*times)
		}
	}
	for _, tasks := range []int{0, 1, 10, 50} {
		h := busyNode("cost", tasks)
		per(fmt.Sprintf("a heartbeat with %d tasks", tasks), 20, 1, func() error { h.Seq++; return s.Beat(t.Context(), h, time.Minute) })
	}
	per("the heartbeats of all", 5, 1, func() error { _, err := s.Heartbeats(t.Context()); return err })
	admin := driver.NewClient(&driver.Options{Addr: target})
	defer func() { _ = admin.Close() }()
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("cost-py-%d", i))
		must(t, admin.HSet(t.Context(), "skalds:mode:hash", ids[i], "node").Err())
	}
	per("100 Python nodes", 5, 2, func() error { _, err := s.OriginalNodes(t.Context()); return err })
	per("100 tasks of theirs", 5, 1, func() error { _, err := s.OriginalTasks(t.Context(), ids); return err })
	for _, id := range append(ids, "cost") {
		must(t, s.Forget(t.Context(), id))
	}
}

// BenchmarkBeats is what 1,000 nodes of ten tasks each cost: one heartbeat of each, and one look at all.
func BenchmarkBeats(b *testing.B) {
	s := openBeats(b, redis.Config{Addr: given(b)})
	const nodes = 1000
	fill := func() {
		var wg sync.WaitGroup
		for part := range 8 {
			wg.Go(func() {
				for i := part; i < nodes; i += 8 {
					if err := s.Beat(b.Context(), busyNode(fmt.Sprintf("bench-%d", i), 10), time.Minute); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	fill()
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			fill()
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			list, err := s.Heartbeats(b.Context())
			if err != nil || len(list) < nodes {
				b.Fatalf("%d, %v", len(list), err)
			}
		}
	})
	for i := range nodes {
		_ = s.Forget(b.Context(), fmt.Sprintf("bench-%d", i))
	}
}
