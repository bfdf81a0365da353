package controller

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func mark(epoch int64, change ...func(*skalds.TaskMark)) *skalds.TaskMark {
	m := &skalds.TaskMark{TaskID: "t", Epoch: epoch, DesiredRevision: 3, Mode: skalds.ModePassive}
	for _, c := range change {
		c(m)
	}
	return m
}

func running(m *skalds.TaskMark)  { m.Running, m.State = true, skalds.Running }
func finished(m *skalds.TaskMark) { m.State = skalds.Finished }
func ofFile(m *skalds.TaskMark)   { m.Mode, m.Running = skalds.ModeActive, true }

func TestHelloSteps(t *testing.T) {
	elsewhere := func(t *skalds.Task) { t.Executor = "n2" }
	for _, tt := range []struct {
		name string
		task *skalds.Task
		mark *skalds.TaskMark
		old  step // to the incarnation that said hello before
		new  step // to a new one
	}{
		{"runs it", taskIn(skalds.Running), mark(5, running), stepCommand, stepCommand},
		{"has told its end", taskIn(skalds.Running), mark(5, finished), stepCommand, stepCommand},
		{"knows it, does not run it", taskIn(skalds.Running), mark(5), stepCommand, stepRestart},
		{"knows it from before, does not run it", taskIn(skalds.Running), mark(4), stepCommand, stepRestart},
		{"never heard of it", taskIn(skalds.Assigning), nil, stepCommand, stepCommand},
		{"heard of an earlier epoch only", taskIn(skalds.Assigning), mark(4), stepCommand, stepCommand},
		{"does not know what it ran", taskIn(skalds.Running), nil, stepCommand, stepRestart},
		{"runs an earlier epoch of its own", taskIn(skalds.Running), mark(4, running), stepCommand, stepCommand},
		{"runs what has been handed elsewhere", taskIn(skalds.Running, elsewhere), mark(3, running), stepGone, stepGone},
		{"runs what waits", taskIn(skalds.Created), mark(4, running), stepGone, stepGone},
		{"runs what has ended", taskIn(skalds.Cancelled), mark(5, running), stepGone, stepGone},
		{"knows what has ended", taskIn(skalds.Finished), mark(5, finished), stepGone, stepGone},
		{"runs what nobody knows", nil, mark(3, running), stepGone, stepGone},
		{"runs an epoch that the store has forgotten", taskIn(skalds.Running), mark(9, running), stepAdopt, stepAdopt},
		{"knows an epoch that the store has forgotten", taskIn(skalds.Running), mark(9, finished), stepRestart, stepRestart},
		{"runs what waits, under an epoch that the store has forgotten", taskIn(skalds.Created), mark(9, running), stepOutrank, stepOutrank},
		{"runs another's, under an epoch that the store has forgotten", taskIn(skalds.Running, elsewhere), mark(9, running), stepOutrank, stepOutrank},
		{"another's, unknown to it", taskIn(skalds.Running, elsewhere), nil, stepNothing, stepNothing},
		{"an entry of its file", taskIn(skalds.Running, active), mark(5, ofFile), stepCommand, stepCommand},
		{"an entry with a new number", taskIn(skalds.Running, active), mark(6, ofFile), stepNothing, stepNothing},
		{"an entry that nobody knows", nil, mark(6, ofFile), stepNothing, stepNothing},
		{"an entry that a user has cancelled", taskIn(skalds.Cancelled, active), mark(5, ofFile), stepGone, stepGone},
		{"an entry that it does not run", taskIn(skalds.Running, active), nil, stepNothing, stepNothing},
	} {
		for same, want := range map[bool]step{true: tt.old, false: tt.new} {
			if got := helloStep("n1", same, tt.task, tt.mark); got != want {
				t.Errorf("%s (said hello before: %v): step %d, want %d", tt.name, same, got, want)
			}
		}
	}
}

func TestAnswersFitIntoMessages(t *testing.T) {
	var commands []skalds.Command
	epochs := map[string]int64{}
	for i := range 40 {
		id := fmt.Sprint("task-", i)
		task := taskIn(skalds.Running, func(t *skalds.Task) {
			t.ID, t.Attachments = id, json.RawMessage(fmt.Sprintf("%q", strings.Repeat("x", 20<<10)))
		})
		commands = append(commands, commandFor(task, 1))
		epochs[id] = int64(i)
	}
	parts := answerParts(7, 3, 2, commands, epochs)
	if len(parts) < 2 {
		t.Fatalf("%d parts", len(parts))
	}
	seen, numbers := map[string]bool{}, 0
	for i, p := range parts {
		if size := len(mustJSON(t, p)); size > skalds.MaxBusMessageBytes && len(p.Commands) > 1 {
			t.Errorf("part %d has %d bytes", i+1, size)
		}
		if p.Part != i+1 || p.Parts != len(parts) || p.Incarnation != 7 || p.Number != 3 || p.Generation != 2 {
			t.Errorf("part %d is numbered %d of %d for incarnation %d, hello %d, generation %d", i+1, p.Part, p.Parts, p.Incarnation, p.Number, p.Generation)
		}
		for _, c := range p.Commands {
			seen[c.TaskID] = true
		}
		numbers += len(p.Epochs)
	}
	if len(seen) != 40 || numbers != 40 {
		t.Errorf("%d commands and %d epochs of 40", len(seen), numbers)
	}
	if empty := answerParts(7, 3, 2, nil, nil); len(empty) != 1 || empty[0].Part != 1 || empty[0].Parts != 1 {
		t.Errorf("nothing to say: %+v", empty)
	}
}

func TestHellosInParts(t *testing.T) {
	part := func(incarnation int64, n, of int, id string) skalds.HostMessage {
		return skalds.HostMessage{NodeID: "n1", Incarnation: incarnation, Hello: &skalds.Hello{Part: n, Parts: of, Tasks: []skalds.TaskMark{{TaskID: id}}}}
	}
	numbered := func(m skalds.HostMessage, n int64) skalds.HostMessage { m.Hello.Number = n; return m }
	for _, tt := range []struct {
		name  string
		parts []skalds.HostMessage
		tasks int // of the hello that is whole after the last part; 0: it is not
	}{
		{"one", []skalds.HostMessage{part(1, 1, 1, "a")}, 1},
		{"three", []skalds.HostMessage{part(1, 1, 3, "a"), part(1, 2, 3, "b"), part(1, 3, 3, "c")}, 3},
		{"one repeated", []skalds.HostMessage{part(1, 1, 3, "a"), part(1, 2, 3, "b"), part(1, 2, 3, "b"), part(1, 3, 3, "c")}, 3},
		{"one missing", []skalds.HostMessage{part(1, 1, 3, "a"), part(1, 3, 3, "c")}, 0},
		{"begun anew", []skalds.HostMessage{part(1, 1, 3, "a"), part(1, 2, 3, "b"), part(1, 1, 2, "x"), part(1, 2, 2, "y")}, 2},
		{"of two incarnations", []skalds.HostMessage{part(1, 1, 2, "a"), part(2, 2, 2, "b")}, 0},
		{"of two hellos", []skalds.HostMessage{part(1, 1, 2, "a"), numbered(part(1, 2, 2, "b"), 9)}, 0},
		{"one of a former self", []skalds.HostMessage{part(0, 2, 2, "b")}, 0},
		{"without a beginning", []skalds.HostMessage{part(1, 2, 2, "b")}, 0},
	} {
		c := newCluster(DefaultConfig())
		c.heard("n1", 1, 1, time.UnixMilli(now))
		greet(c, 1, time.UnixMilli(now))
		d := newDesk(nil, c, nil, nil, nil, quiet)
		var h skalds.Hello
		var whole bool
		for _, m := range tt.parts {
			h, whole = d.join(m)
		}
		if whole != (tt.tasks > 0) || whole && len(h.Tasks) != tt.tasks {
			t.Errorf("%s: whole %v with %d tasks, want %d", tt.name, whole, len(h.Tasks), tt.tasks)
		}
		asked, again := c.wantsHello(time.UnixMilli(now)), tt.tasks == 0 && tt.name != "one of a former self"
		if slices.Contains(asked, "n1") != again {
			t.Errorf("%s: asked for another hello: %q", tt.name, asked)
		}
	}
}
