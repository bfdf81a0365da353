package kafka_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/kafka"
)

// cutter is a listener whose connections break, when it is armed, after a request to store messages has been carried out and
// before it is answered.
type cutter struct {
	net.Listener
	armed, cut atomic.Int64
}

func (c *cutter) Accept() (net.Conn, error) {
	inner, err := c.Listener.Accept()
	return &cutConn{Conn: inner, cutter: c}, err
}

type cutConn struct {
	net.Conn
	cutter *cutter
	mu     sync.Mutex // guards below
	head   []byte     // of the request that is being read: its length and its kind
	left   int        // bytes of it that are still to come
	doomed bool
}

// Read follows the requests: four bytes are the length, the two after it say what is asked.
func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := b[:n]; len(rest) > 0; {
		if c.left > 0 {
			skip := min(c.left, len(rest))
			rest, c.left = rest[skip:], c.left-skip
			continue
		}
		c.head, rest = append(c.head, rest[0]), rest[1:]
		if len(c.head) == 6 {
			if binary.BigEndian.Uint16(c.head[4:]) == uint16(kmsg.Produce) && c.cutter.armed.Add(-1) >= 0 {
				c.doomed = true
			}
			c.left, c.head = int(binary.BigEndian.Uint32(c.head))-2, nil
		}
	}
	return n, err
}

func (c *cutConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	doomed := c.doomed
	c.mu.Unlock()
	if doomed {
		c.cutter.cut.Add(1)
		return 0, c.Close()
	}
	return c.Conn.Write(b)
}

// TestLostAcknowledgement breaks connections between the storing of a message and the answer: the message is sent again, and
// is there once.
func TestLostAcknowledgement(t *testing.T) {
	cut := &cutter{}
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(func(network, addr string) (net.Listener, error) {
		l, err := net.Listen(network, addr)
		cut.Listener = l
		return cut, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	cfg := kafka.Config{Brokers: fake.ListenAddrs()}
	h := hostEnd(t, cfg)
	const n = 20
	for i := range int64(n) {
		if i%4 == 2 {
			cut.armed.Store(1 + i%3)
		}
		if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n", Report: &skalds.Report{Seq: i}}); err != nil {
			t.Fatal(err)
		}
		cut.armed.Store(0)
	}
	if cut.cut.Load() < 5 {
		t.Fatalf("%d answers were lost, so nothing was tried", cut.cut.Load())
	}
	var seqs []int64
	eachRecord(t, cfg, skalds.TopicReport, func(r *kgo.Record) bool {
		seqs = append(seqs, read(t, r).Report.Seq)
		return seqs[len(seqs)-1] == n-1
	})
	for i, seq := range seqs {
		if seq != int64(i) {
			t.Fatalf("after %d lost answers the bus holds %v", cut.cut.Load(), seqs)
		}
	}
	t.Logf("%d answers were lost, and no message was written twice", cut.cut.Load())
}

func read(t testing.TB, r *kgo.Record) skalds.HostMessage {
	t.Helper()
	var m skalds.HostMessage
	if err := json.Unmarshal(r.Value, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestProducersOfAnEmptiedBus has producers from before a bus was emptied and some from after: the bus gives out the same ids
// again, and must not take what one of them sends for a repeat of another's.
func TestProducersOfAnEmptiedBus(t *testing.T) { onEach(t, producersOfAnEmptiedBus) }

func producersOfAnEmptiedBus(t *testing.T, s broker) {
	const ends, each = 6, 4
	var all []*kafka.HostBus
	open := func() {
		for range ends {
			all = append(all, hostEnd(t, s.config()))
		}
	}
	told := map[string]bool{}
	tell := func(ctx context.Context, round string, seq int64) {
		t.Helper()
		for i, h := range all {
			node := fmt.Sprintf("%s-%d", round, i)
			if err := h.Report(ctx, skalds.HostMessage{NodeID: node, Report: &skalds.Report{Seq: seq}}); err != nil {
				t.Fatal(err)
			}
			told[fmt.Sprintf("%s/%d", node, seq)] = true
		}
	}
	open()
	for _, h := range all[:ends/2] { // the others get an id, and use it on this topic only after the loss
		if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n", Report: &skalds.Report{}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range all[ends/2:] {
		if err := h.Heartbeat(t.Context(), skalds.ShortHeartbeat{NodeID: "n"}); err != nil {
			t.Fatal(err)
		}
	}
	s.stop()
	s.empty()
	s.start()
	open()
	for seq := range int64(each) {
		tell(t.Context(), "new", seq)
	}
	count := 0
	eachRecord(t, s.config(), skalds.TopicReport, func(r *kgo.Record) bool {
		m := read(t, r)
		key := fmt.Sprintf("%s/%d", m.NodeID, m.Report.Seq)
		if !told[key] {
			t.Errorf("%s is there twice, or was never told", key)
		}
		delete(told, key)
		count++
		return len(told) == 0
	})
	t.Logf("%d messages are there", count)
}

// TestGivenUp gives up sends while the bus stands still: those after it arrive, and an id of a producer serves no two messages.
func TestGivenUp(t *testing.T) {
	r := startReal(t)
	c, h := controllerEnd(t, r.config()), hostEnd(t, r.config())
	reports := make(chan int64, 1000)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", nil, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m.Report.Seq })
	})
	send := func(ctx context.Context, seq int64) error {
		return h.Report(ctx, skalds.HostMessage{NodeID: "n", Report: &skalds.Report{Seq: seq}})
	}
	if err := send(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	receive(t, "the first report", reports)
	const given = 500 * time.Millisecond
	for round := range int64(3) {
		r.freeze()
		for i := range int64(3) {
			ctx, cancel := context.WithTimeout(t.Context(), given)
			begun := time.Now()
			if err := h.Heartbeat(ctx, skalds.ShortHeartbeat{NodeID: "n"}); err == nil {
				t.Error("a heartbeat got through a bus that stands still")
			}
			if took := time.Since(begun); took > 5*given {
				t.Errorf("a heartbeat was given up after %v, promised are %v", took, given)
			}
			if err := send(ctx, 100+round*10+i); err == nil {
				t.Error("a report got through a bus that stands still")
			}
			cancel()
		}
		late := make(chan error, 1)
		go func() { late <- send(t.Context(), 1000+round) }() // under way while the bus comes back
		r.thaw()
		if err := receive(t, "the answer to a report that was sent while the bus stood still", late); err != nil {
			t.Fatal(err)
		}
		if err := send(t.Context(), 2000+round); err != nil {
			t.Fatal(err)
		}
		seen := map[int64]int{}
		for seq := int64(0); seq != 2000+round; {
			seq = receive(t, "the reports after the bus came back", reports)
			seen[seq]++
		}
		// One that waited behind those that were given up has failed with them and was sent again: it may be there twice.
		if n := seen[1000+round]; n < 1 || n > 2 || seen[2000+round] != 1 {
			t.Errorf("round %d: the bus holds %v: the two that were acknowledged should be there", round, seen)
		}
		t.Logf("round %d: %v", round, seen)
	}
}
