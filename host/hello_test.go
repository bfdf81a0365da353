package host

import (
	"testing"

	"github.com/skalds-go/skalds"
)

// hello is the last one that was said.
func (b *memoryBus) hello() (m skalds.HostMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.seen {
		if s.Hello != nil {
			m = s
		}
	}
	return m
}

// answer answers a hello of the node, by its number.
func (b *memoryBus) answer(number int64, commands ...skalds.Command) {
	b.commands <- skalds.NodeMessage{NodeID: "n1", Answer: &skalds.HelloAnswer{
		Incarnation: b.hello().Incarnation, Number: number, Generation: 1, Part: 1, Parts: 1, Commands: commands,
	}}
}

// settled returns when the host has handled everything sent to it before: a cancellation is answered at any time.
func (b *memoryBus) settled(t *testing.T, id string) {
	t.Helper()
	b.send(gone(skalds.Command{TaskID: id, Generation: 1, Epoch: 1}, "cancelled", 1))
	eventually(t, "answered", soon, func() bool {
		for _, r := range b.reports(id) {
			if r.Ack == skalds.AckApplied {
				return true
			}
		}
		return false
	})
}

func TestNoDispatchedCommandIsTakenBeforeTheHelloIsAnswered(t *testing.T) {
	m, b := newMachine(t), newMemoryBus()
	b.mute = true
	d := m.deps(t)
	d.Bus, d.Beats = b, b
	cfg := m.config()
	cfg.Edge = false
	startHost(t, cfg, d)
	b.greeted(t, 0)
	late := command(scriptSpec("late", "Script", script{Do: "wait"}), 1, 1)
	untouched := func(what string) {
		t.Helper()
		if len(b.reports("late")) > 0 || len(m.attempts("late")) > 0 {
			t.Fatalf("%s: a late command was taken: %+v", what, b.reports("late"))
		}
	}
	b.send(late)
	b.settled(t, "first")
	untouched("before the answer")
	eventually(t, "hello is said again until it is answered", soon, func() bool { return b.helloCount() > 1 })

	b.answer(b.hello().Hello.Number)
	b.send(command(scriptSpec("a", "Script", script{Do: "finish"}), 1, 1))
	eventually(t, "a command after the answer", soon, func() bool { return b.last("a").State == skalds.Finished })
	untouched("after the answer")

	said := b.helloCount()
	before := b.hello().Hello.Number
	b.setCut(true)
	b.setCut(false)
	b.greeted(t, said)
	b.answer(before, late) // it was on its way when the connection broke
	b.send(late)
	b.settled(t, "second")
	untouched("after the answer to a hello before the connection")
	b.answer(b.hello().Hello.Number, late)
	waitRunning(t, b, "late", 1)
}

func TestAnEdgeTaskObeysBeforeTheHelloIsAnswered(t *testing.T) {
	m, b := newEdgeMachine(t, workersYML(entry("a", "wait", ""))), newMemoryBus()
	b.mute = true
	m.start(b)
	eventually(t, "the entry runs", soon, func() bool { _, ok := b.live("a"); return ok && len(m.attempts("a")) == 1 })
	b.greeted(t, 0)
	b.send(pause2(command(scriptSpec("a", "Script", script{Do: "wait"}), 1, 2), 2))
	eventually(t, "paused", soon, func() bool { return b.last("a").State == skalds.Paused })
}
