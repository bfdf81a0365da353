package shim

import (
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const deaf = "trap '' TERM HUP INT; while :; do sleep 300 & wait; done"

// tasks are what farewells name, in order.
func tasks(dead []Mark) string {
	var ids []string
	for _, m := range dead {
		ids = append(ids, m.TaskID)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// A host that dies, or stands still, is said to be gone, with what lived and what had ended just before.
func TestFarewell(t *testing.T) {
	for how, silent := range map[syscall.Signal]bool{syscall.SIGKILL: false, syscall.SIGSTOP: true} {
		t.Run(how.String(), func(t *testing.T) {
			h := newHost(
				t, shell(deaf, Mark{TaskID: "a", Epoch: 3}), shell("setsid sleep 300 & "+deaf, Mark{TaskID: "b", Epoch: 4, Keep: true}),
				shell("exit 0", Mark{TaskID: "before", Epoch: -1}), shell(deaf, Mark{}),
			)
			if err := h.cmd.Process.Signal(how); err != nil {
				t.Fatal(err)
			}
			h.over(t)
			for i, id := range h.procs {
				if lives(id) {
					t.Errorf("process %d is left", i)
				}
			}
			all := farewells(t, h.file)
			if len(all) == 0 {
				t.Fatal("nothing was said")
			}
			last := all[len(all)-1]
			if got := tasks(last.Dead); got != "a b before" || last.Silent != silent {
				t.Errorf("said: %+v", all)
			}
			if i := slices.IndexFunc(last.Dead, func(m Mark) bool { return m.TaskID == "b" }); !reflect.DeepEqual(last.Dead[i], Mark{TaskID: "b", Epoch: 4, Keep: true}) {
				t.Errorf("b: %+v", last.Dead[i])
			}
		})
	}
}

// A host that closes its shim has said farewell itself.
func TestNoFarewellAtAClose(t *testing.T) {
	h := newHost(t, shell(deaf, Mark{TaskID: "a"}))
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Wait(); err != nil {
		t.Error(err)
	}
	h.over(t)
	if lives(h.procs[0]) {
		t.Error("the process is left")
	}
	if all := farewells(t, h.file); len(all) > 0 {
		t.Errorf("said: %+v", all)
	}
}

// What cannot be killed for now is not said to be dead, and said later when it is. The kernel has no such process at hand: a
// folder that looks like a control group with somebody in it stands for it.
func TestWhatIsLeftIsNotSaidToBeDead(t *testing.T) {
	s := &server{instances: map[uint64]*instance{1: {Mark: Mark{TaskID: "lives"}}}, clearing: map[uint64]*clearance{
		2: {TaskID: "is cleared"}, 3: {TaskID: "stays", Told: true, Left: true}, 4: {TaskID: "gone", Told: true},
	}}
	for _, id := range []string{"lives", "is cleared", "stays", "gone", "long gone", ""} {
		s.remember(Mark{TaskID: id})
	}
	if got := tasks(s.dead()); got != "gone long gone" {
		t.Errorf("dead: %q", got)
	}
	past := s.past["long gone"]
	past.At = past.At.Add(-2 * rememberFor)
	s.past["long gone"] = past
	delete(s.clearing, 2)
	delete(s.instances, 1)
	if got := tasks(s.dead()); got != "gone is cleared lives" {
		t.Errorf("later: %q", got)
	}
}

// What dies late is told in a second word: a process that the shim cannot see to be dead because somebody traces it.
func TestWhatDiesLaterIsToldLater(t *testing.T) {
	h := newHost(t, shell(deaf, Mark{TaskID: "a"}), shell(deaf, Mark{TaskID: "held"}))
	release := trace(t, h.procs[1].PID)
	if err := h.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "the first word", func() bool { return len(farewells(t, h.file)) > 0 })
	if all := farewells(t, h.file); tasks(all[0].Dead) != "a" {
		t.Errorf("first: %+v", all)
	}
	release()
	h.over(t)
	all := farewells(t, h.file)
	if last := all[len(all)-1]; len(all) != 2 || tasks(last.Dead) != "a held" {
		t.Errorf("said: %+v", all)
	}
}
