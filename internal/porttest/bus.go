package porttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/host"
)

// Bus is what the bus suite needs: ends on the same bus, which the suite closes.
type Bus struct {
	Controller func(t testing.TB) controller.Bus
	Host       func(t testing.TB) host.Bus
	// Original sends a message as the Python original's scripts do.
	Original func(t testing.TB, topic, key, value string)
	// Overheard is what was first written under a key, as the Python original's nodes read it.
	Overheard func(t testing.TB, topic, key string) string
}

// RunBus checks controller.Bus and host.Bus together.
func RunBus(t *testing.T, open func(t testing.TB) Bus) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b Bus)
	}{
		{"commands reach their node in order", busCommands},
		{"what was sent before ready is not read", busReady},
		{"commands to nodes of one partition", busNeighbours},
		{"reports from the beginning and from an offset", busReports},
		{"reports of many hosts, each in order", busManyHosts},
		{"heartbeats", busHeartbeats},
		{"changes, replay and reset", busChanges},
		{"requests in both spellings", busRequests},
		{"requests from a place on", busRequestsFrom},
		{"events for the original's nodes", busEvents},
		{"messages that are too large", busTooLarge},
		{"an end that is closed", busClosed},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// reader runs a blocking read until the test ends, and fails the test when it ends by itself.
func reader(t testing.TB, name string, read func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- read(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s ended with %v, want nil after its context", name, err)
			}
		case <-time.After(patience):
			t.Errorf("%s goes on after its context has ended", name)
		}
	})
}

func openController(t testing.TB, b Bus) controller.Bus {
	t.Helper()
	c := b.Controller(t)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func openHost(t testing.TB, b Bus) host.Bus {
	t.Helper()
	h := b.Host(t)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

// listenAs reads the commands of a node; the partition is that of the first ready.
func listenAs(t testing.TB, h host.Bus, node string) (partition int32, messages <-chan skalds.NodeMessage) {
	t.Helper()
	ready, got := make(chan int32, 100), make(chan skalds.NodeMessage, 10_000)
	reader(t, "Commands", func(ctx context.Context) error {
		return h.Commands(ctx, node, func(p int32) { ready <- p }, func(m skalds.NodeMessage) { got <- m })
	})
	return receive(t, "ready", ready), got
}

func command(node, task string, revision int64) skalds.NodeMessage {
	return skalds.NodeMessage{NodeID: node, Command: &skalds.Command{
		TaskID: task, Generation: 1, Epoch: 2, DesiredRevision: revision, Desired: skalds.DesiredRunning,
		Spec: &skalds.Spec{ID: task, ClassName: "Recorder"},
	}}
}

func busCommands(t *testing.T, b Bus) {
	c, h, node := openController(t, b), openHost(t, b), newNames(t).next("node")
	p, got := listenAs(t, h, node)
	const n = 300
	for i := 0; i < n; i += 3 {
		if err := c.Send(t.Context(), p, command(node, "a", int64(i)), command(node, "a", int64(i+1)), command(node, "a", int64(i+2))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		m := receive(t, "a command", got)
		if m.NodeID != node || m.Command == nil || m.Command.DesiredRevision != int64(i) {
			t.Fatalf("message %d is %+v", i, m)
		}
		if i == 0 {
			same(t, "the command", m, command(node, "a", 0))
		}
	}
}

func busReady(t *testing.T, b Bus) {
	c, h, names := openController(t, b), openHost(t, b), newNames(t)
	node := names.next("node")
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan int32, 10), make(chan error, 1)
	go func() {
		done <- h.Commands(ctx, node, func(p int32) { ready <- p }, func(skalds.NodeMessage) {})
	}()
	p := receive(t, "ready", ready)
	cancel()
	if err := receive(t, "the end of Commands", done); err != nil {
		t.Fatalf("Commands ended with %v", err)
	}
	if err := c.Send(t.Context(), p, command(node, "missed", 1)); err != nil {
		t.Fatal(err)
	}
	again, got := listenAs(t, h, node)
	if again != p {
		t.Errorf("the node reads partition %d, then %d", p, again)
	}
	if err := c.Send(t.Context(), p, command(node, "seen", 1)); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, "a command", got); m.Command.TaskID != "seen" {
		t.Errorf("got the command for %q, want only what came after ready", m.Command.TaskID)
	}
}

func busNeighbours(t *testing.T, b Bus) {
	c, h, names := openController(t, b), openHost(t, b), newNames(t)
	one, two := names.next("node"), names.next("node")
	p, got := listenAs(t, h, one)
	// two reads elsewhere or not at all; its messages may share the partition and must not be seen.
	if err := c.Send(t.Context(), p, command(two, "not mine", 1), command(one, "mine", 1), command(two, "not mine", 2)); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, "a command", got); m.NodeID != one {
		t.Errorf("got a message for %s", m.NodeID)
	}
}

// report is one message of a host; its number is in the sequence.
func report(node string, n int) skalds.HostMessage {
	return skalds.HostMessage{NodeID: node, Incarnation: 1, Report: &skalds.Report{TaskID: "t", Epoch: 1, Seq: int64(n), State: skalds.Running}}
}

type reported struct {
	message skalds.HostMessage
	next    string
}

// reportsFrom reads reports of the given nodes.
func reportsFrom(t testing.TB, c controller.Bus, from string, nodes ...string) (got <-chan reported, caughtUp <-chan struct{}) {
	t.Helper()
	messages, caught := make(chan reported, 100_000), make(chan struct{}, 10)
	reader(t, "Reports", func(ctx context.Context) error {
		return c.Reports(ctx, from, func() { caught <- struct{}{} }, func(_ context.Context, m skalds.HostMessage, next string) {
			for _, n := range nodes {
				if m.NodeID == n {
					messages <- reported{m, next}
				}
			}
		})
	})
	return messages, caught
}

func busReports(t *testing.T, b Bus) {
	c, h, node := openController(t, b), openHost(t, b), newNames(t).next("node")
	for i := range 4 {
		if err := h.Report(t.Context(), report(node, 2*i), report(node, 2*i+1)); err != nil {
			t.Fatal(err)
		}
	}
	all, caughtUp := reportsFrom(t, c, "", node)
	receive(t, "caught up", caughtUp)
	var third string
	for i := range 8 {
		r := receive(t, "a report", all)
		same(t, "the report", r.message, report(node, i))
		if i == 2 {
			third = r.next
		}
	}
	rest, caughtUp := reportsFrom(t, c, third, node)
	receive(t, "caught up from an offset", caughtUp)
	for i := 3; i < 8; i++ {
		if r := receive(t, "a report", rest); r.message.Report.Seq != int64(i) {
			t.Fatalf("from an offset came report %d, want %d", r.message.Report.Seq, i)
		}
	}
	if err := h.Report(t.Context(), report(node, 8)); err != nil {
		t.Fatal(err)
	}
	if r := receive(t, "a later report", rest); r.message.Report.Seq != 8 {
		t.Errorf("then came report %d, want 8", r.message.Report.Seq)
	}
	select {
	case <-caughtUp:
		t.Error("caught up was called twice")
	default:
	}
	foreign, caughtUp := reportsFrom(t, c, strings.Repeat("0", 32)+":5", node)
	receive(t, "caught up from an offset of another bus", caughtUp)
	if r := receive(t, "a report", foreign); r.message.Report.Seq != 0 {
		t.Errorf("from an offset of another bus came report %d first, want all that is held", r.message.Report.Seq)
	}
}

func busManyHosts(t *testing.T, b Bus) {
	const hosts, each = 5, 60
	c, names := openController(t, b), newNames(t)
	var nodes []string
	for range hosts {
		nodes = append(nodes, names.next("node"))
	}
	got, _ := reportsFrom(t, c, "", nodes...)
	var wg sync.WaitGroup
	for _, node := range nodes {
		h := openHost(t, b)
		wg.Go(func() {
			for i := range each {
				if err := h.Report(t.Context(), report(node, i)); err != nil {
					t.Errorf("report: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	next := map[string]int64{}
	for range hosts * each {
		r := receive(t, "a report", got)
		if r.message.Report.Seq != next[r.message.NodeID] {
			t.Fatalf("%s: report %d came, want %d", r.message.NodeID, r.message.Report.Seq, next[r.message.NodeID])
		}
		next[r.message.NodeID]++
	}
}

func busHeartbeats(t *testing.T, b Bus) {
	c, h, node := openController(t, b), openHost(t, b), newNames(t).next("node")
	alive, got := make(chan time.Time, 1000), make(chan skalds.ShortHeartbeat, 1000)
	reader(t, "Heartbeats", func(ctx context.Context) error {
		return c.Heartbeats(ctx, func() { alive <- time.Now() }, func(s skalds.ShortHeartbeat) {
			if s.NodeID == node {
				got <- s
			}
		})
	})
	receive(t, "alive on a bus without heartbeats", alive)
	for i := range 5 {
		want := skalds.ShortHeartbeat{NodeID: node, Incarnation: 7, Seq: int64(i)}
		if err := h.Heartbeat(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		same(t, "the heartbeat", receive(t, "a heartbeat", got), want)
	}
	last := receive(t, "alive", alive)
	for range 5 {
		now := receive(t, "alive again", alive)
		if gap := now.Sub(last); gap > 5*time.Second {
			t.Errorf("alive came after %v, promised is every second", gap)
		}
		last = now
	}
}

type changed struct {
	id     string
	change skalds.Change
}

// changesAfter reads changes of tasks whose id has the prefix; reset shows as an empty id.
func changesAfter(t testing.TB, c controller.Bus, after, prefix string) <-chan changed {
	t.Helper()
	got := make(chan changed, 1000)
	reader(t, "Changes", func(ctx context.Context) error {
		return c.Changes(ctx, after, func() { got <- changed{} }, func(id string, ch skalds.Change) {
			if strings.HasPrefix(ch.TaskID, prefix) {
				got <- changed{id, ch}
			}
		})
	})
	return got
}

func busChanges(t *testing.T, b Bus) {
	c, task := openController(t, b), newNames(t).next("task")
	change := func(i int) skalds.Change {
		return skalds.Change{Type: skalds.ChangeTask, TaskID: fmt.Sprint(task, "-", i), State: skalds.Running, Epoch: 1, Revision: int64(i), At: 5}
	}
	publish := func(i int) {
		t.Helper()
		if err := c.PublishChange(t.Context(), change(i)); err != nil {
			t.Fatal(err)
		}
	}
	live := changesAfter(t, c, "", task)
	// A reader from now on says not when it has begun: publish until it is seen.
	begun := 0
	eventually(t, "the first change", func() bool {
		begun--
		publish(begun)
		select {
		case <-live:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
	for i := range 3 {
		publish(i)
	}
	if err := c.PublishChange(t.Context(), change(3), change(4), change(5)); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := 0; i < 6; {
		got := receive(t, "a change", live)
		if got.change.Revision < 0 {
			continue
		}
		same(t, "the change", got.change, change(i))
		ids = append(ids, got.id)
		i++
	}
	replay := changesAfter(t, c, ids[2], task)
	for i := 3; i < 6; i++ {
		got := receive(t, "a change again", replay)
		if got.change.Revision != int64(i) || got.id != ids[i] {
			t.Fatalf("replayed was change %d with id %s, want %d with %s", got.change.Revision, got.id, i, ids[i])
		}
	}
	atEnd := changesAfter(t, c, ids[5], task)
	for _, unknown := range []string{strings.Repeat("0", 32) + ":3", "rubbish", ids[5] + "00000"} {
		lost := changesAfter(t, c, unknown, task)
		if got := receive(t, "reset", lost); got.id != "" {
			t.Errorf("after %q came a change instead of a reset", unknown)
		}
	}
	publish(6)
	if got := receive(t, "the next change", atEnd); got.change.Revision != 6 {
		t.Errorf("after the last id came change %d, want 6", got.change.Revision)
	}
}

func busRequests(t *testing.T, b Bus) {
	c, task := openController(t, b), newNames(t).next("task")
	type request struct {
		topic string
		event skalds.TaskEvent
	}
	got := make(chan request, 1000)
	reader(t, "Requests", func(ctx context.Context) error {
		return c.Requests(ctx, "", nil, func(topic string, e skalds.TaskEvent, _ string) {
			if len(e.TaskIDs) > 0 && strings.HasPrefix(e.TaskIDs[0], task) {
				got <- request{topic, e}
			}
		})
	})
	eventually(t, "the first request", func() bool {
		b.Original(t, skalds.TopicTaskAssign, "first", `{"taskIds":["`+task+`-first"]}`)
		select {
		case <-got:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
	b.Original(t, skalds.TopicTaskCancel, "k", `{"taskIds":["`+task+`-ours"],"initiator":"`+skalds.Initiator+`"}`)
	b.Original(t, skalds.TopicTaskCancel, "k", `no JSON`)
	b.Original(t, skalds.TopicTaskCancel, "k", `{"id":"e","title":null,"createDateTime":5,"taskIds":["`+task+`-camel"]}`)
	b.Original(t, skalds.TopicTaskUpdate, "k", `{"id":null,"create_date_time":6,"update_date_time":7,"task_ids":["`+task+`-snake"]}`)
	seen := map[string]request{}
	for len(seen) < 2 {
		r := receive(t, "a request", got)
		if r.event.TaskIDs[0] != task+"-first" {
			seen[r.event.TaskIDs[0]] = r
		}
	}
	same(t, "camel case", seen[task+"-camel"].event, skalds.TaskEvent{ID: "e", CreateDateTime: 5, TaskIDs: []string{task + "-camel"}})
	same(t, "snake case", seen[task+"-snake"].event, skalds.TaskEvent{CreateDateTime: 6, UpdateDateTime: 7, TaskIDs: []string{task + "-snake"}})
	if seen[task+"-camel"].topic != skalds.TopicTaskCancel || seen[task+"-snake"].topic != skalds.TopicTaskUpdate {
		t.Errorf("the topics are %s and %s", seen[task+"-camel"].topic, seen[task+"-snake"].topic)
	}
}

// busRequestsFrom reads on where another reader has stopped, and so what came in between.
func busRequestsFrom(t *testing.T, b Bus) {
	c, task := openController(t, b), newNames(t).next("task")
	topics := []string{skalds.TopicTaskAssign, skalds.TopicTaskCancel, skalds.TopicTaskUpdate}
	var wrote int
	write := func(n int) {
		t.Helper()
		for range n {
			b.Original(t, topics[wrote%len(topics)], fmt.Sprint(wrote), fmt.Sprintf(`{"taskIds":["%s-%d"]}`, task, wrote))
			wrote++
		}
	}
	// read reads until it has so many, and returns the place after the first ones of them.
	read := func(from string, first, all int) (place string, ids []string) {
		t.Helper()
		type request struct{ id, next string }
		got, begun := make(chan request, 1000), make(chan string, 100)
		reader(t, "Requests", func(ctx context.Context) error {
			return c.Requests(ctx, from, func(next string) { begun <- next }, func(_ string, e skalds.TaskEvent, next string) {
				if strings.HasPrefix(e.TaskIDs[0], task) {
					got <- request{e.TaskIDs[0], next}
				}
			})
		})
		place = receive(t, "the place from which is read", begun)
		for n := range all {
			r := receive(t, "a request", got)
			if ids = append(ids, r.id); n < first {
				place = r.next
			}
		}
		return place, ids
	}
	at, _ := read("", 0, 0)
	write(6) // nobody reads
	middle, all := read(at, 2, 6)
	slices.Sort(all)
	if all = slices.Compact(all); len(all) != 6 {
		t.Errorf("of six that came while nobody read, %v were read", all)
	}
	if _, rest := read(middle, 0, 4); len(rest) != 4 {
		t.Errorf("after two of them %v were read", rest)
	}
	write(1)
	if end, last := read(at, 7, 7); len(last) != 7 || end == middle {
		t.Errorf("all in all %v", last)
	}
}

func busEvents(t *testing.T, b Bus) {
	c, task := openController(t, b), newNames(t).next("task")
	heard := make(chan skalds.TaskEvent, 1000)
	reader(t, "Requests", func(ctx context.Context) error {
		return c.Requests(ctx, "", nil, func(_ string, e skalds.TaskEvent, _ string) { heard <- e })
	})
	for _, topic := range []string{skalds.TopicTaskAssign, skalds.TopicTaskCancel, skalds.TopicTaskUpdate} {
		e := skalds.TaskEvent{ID: task, CreateDateTime: 5, UpdateDateTime: 6, TaskIDs: []string{task}}
		if err := c.PublishEvent(t.Context(), topic, task, e); err != nil {
			t.Fatal(err)
		}
		want := `{"id":"` + task + `","title":null,"initiator":"` + skalds.Initiator + `","recipient":null,"createDateTime":5,"updateDateTime":6,"taskIds":["` + task + `"]}`
		if got := b.Overheard(t, topic, task); got != want {
			t.Errorf("on %s is\n%s, want\n%s", topic, got, want)
		}
	}
	before := time.Now().UnixMilli()
	if err := c.PublishEvent(t.Context(), skalds.TopicTaskAssign, task+"-now", skalds.TaskEvent{TaskIDs: []string{task}}); err != nil {
		t.Fatal(err)
	}
	var e skalds.TaskEvent
	if err := json.Unmarshal([]byte(b.Overheard(t, skalds.TopicTaskAssign, task+"-now")), &e); err != nil || e.CreateDateTime < before || e.UpdateDateTime < before {
		t.Errorf("an event without times has become %+v, %v", e, err)
	}
	for _, topic := range []string{skalds.TopicReport, "", "other"} {
		if err := c.PublishEvent(t.Context(), topic, task, e); err == nil {
			t.Errorf("an event was published on %q", topic)
		}
	}
	eventually(t, "the controllers hear another one's event, and none of their own", func() bool {
		b.Original(t, skalds.TopicTaskAssign, task, `{"taskIds":["`+task+`"],"title":"other"}`)
		select {
		case e := <-heard:
			if e.Initiator == skalds.Initiator {
				t.Errorf("an event of a controller came back: %+v", e)
			}
			return e.Title == "other"
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
}

func busTooLarge(t *testing.T, b Bus) {
	c, h, node := openController(t, b), openHost(t, b), newNames(t).next("node")
	p, got := listenAs(t, h, node)
	big := command(node, "big", 1)
	big.Command.Reason = strings.Repeat("x", skalds.MaxBusMessageBytes)
	if err := c.Send(t.Context(), p, big); !errors.Is(err, skalds.ErrTooLarge) {
		t.Errorf("sending %d bytes: %v, want too large", skalds.MaxBusMessageBytes, err)
	}
	small, odd := command(node, "small", 1), command(node, "odd", 1)
	odd.Command.Stages = map[string]json.RawMessage{"s": json.RawMessage("no JSON")}
	var unsendable *skalds.UnsendableError
	err := c.Send(t.Context(), p, small, big, odd, small)
	if !errors.As(err, &unsendable) || len(unsendable.Messages) != 2 || unsendable.Messages[0].Index != 1 || unsendable.Messages[1].Index != 2 {
		t.Errorf("two of four messages cannot be sent, the second and the third: %v", err)
	}
	for range 2 {
		if m := receive(t, "the others of the batch", got); m.Command.TaskID != "small" {
			t.Errorf("the command for %s has arrived", m.Command.TaskID)
		}
	}
	err = h.Report(t.Context(), skalds.HostMessage{NodeID: node, Report: &skalds.Report{Reason: big.Command.Reason}})
	if !errors.As(err, &unsendable) || len(unsendable.Messages) != 1 || !errors.Is(err, skalds.ErrTooLarge) {
		t.Errorf("a report that is too large: %v", err)
	}
	big.Command.Reason = strings.Repeat("x", skalds.MaxBusMessageBytes-500)
	if err := c.Send(t.Context(), p, big); err != nil {
		t.Errorf("sending almost %d bytes: %v", skalds.MaxBusMessageBytes, err)
	}
	if m := receive(t, "a large command", got); len(m.Command.Reason) != skalds.MaxBusMessageBytes-500 {
		t.Errorf("the command has arrived with %d bytes", len(m.Command.Reason))
	}
}

func busClosed(t *testing.T, b Bus) {
	c, h := b.Controller(t), b.Host(t)
	if err := errors.Join(c.Ping(t.Context()), h.Ping(t.Context())); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := errors.Join(c.Close(), h.Close(), c.Close(), h.Close()); err != nil {
		t.Errorf("close, twice: %v", err)
	}
	if err := h.Report(t.Context(), report("n", 1)); err == nil {
		t.Error("a closed end takes a report")
	}
	if err := c.Reports(t.Context(), "", nil, nil); err == nil {
		t.Error("a closed end reads reports")
	}
}
