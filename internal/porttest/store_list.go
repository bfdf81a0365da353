package porttest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

func storeFilters(t *testing.T, s controller.Store) {
	for i, c := range []struct {
		id, class, executor string
		state               skalds.State
		mode                skalds.Mode
		labels              map[string]string
	}{
		{"Camera_1", "Recorder", "n1", skalds.Running, skalds.ModeActive, map[string]string{"zone": "a", "a.b": "x\"y"}},
		{"camera%2", "Recorder", "", skalds.Created, skalds.ModePassive, map[string]string{"zone": "b"}},
		{"CAMERA-3", "Detector", "n2", skalds.Failed, skalds.ModePassive, nil},
		{`back\slash`, "Detector", "n1", skalds.Paused, skalds.ModePassive, map[string]string{"zone": "a"}},
		{"ÄRGER", "Other", "", skalds.Created, skalds.ModePassive, nil},
	} {
		task := newTask(c.id, int64(100-i))
		task.ClassName, task.Executor, task.LifecycleStatus, task.Mode, task.Labels = c.class, c.executor, c.state, c.mode, c.labels
		create(t, s, task)
	}
	for _, c := range []struct {
		name   string
		filter controller.TaskFilter
		want   []string
	}{
		{"all, newest first", controller.TaskFilter{}, []string{"Camera_1", "camera%2", "CAMERA-3", `back\slash`, "ÄRGER"}},
		{"one state", controller.TaskFilter{States: []skalds.State{skalds.Created}}, []string{"camera%2", "ÄRGER"}},
		{"two states", controller.TaskFilter{States: []skalds.State{skalds.Running, skalds.Paused}}, []string{"Camera_1", `back\slash`}},
		{"class", controller.TaskFilter{ClassName: "Detector"}, []string{"CAMERA-3", `back\slash`}},
		{"class is exact", controller.TaskFilter{ClassName: "detector"}, nil},
		{"executor", controller.TaskFilter{Executor: "n1"}, []string{"Camera_1", `back\slash`}},
		{"mode", controller.TaskFilter{Mode: skalds.ModeActive}, []string{"Camera_1"}},
		{"part of the id", controller.TaskFilter{IDContains: "cAmErA"}, []string{"Camera_1", "camera%2", "CAMERA-3"}},
		{"underscore is no wildcard", controller.TaskFilter{IDContains: "a_1"}, []string{"Camera_1"}},
		{"percent is no wildcard", controller.TaskFilter{IDContains: "a%"}, []string{"camera%2"}},
		{"dot is no wildcard", controller.TaskFilter{IDContains: "a.1"}, nil},
		{"bracket is no pattern", controller.TaskFilter{IDContains: "["}, nil},
		{"backslash", controller.TaskFilter{IDContains: `\`}, []string{`back\slash`}},
		{"letters beyond ASCII", controller.TaskFilter{IDContains: "ärg"}, []string{"ÄRGER"}},
		{"label", controller.TaskFilter{Labels: map[string]string{"zone": "a"}}, []string{"Camera_1", `back\slash`}},
		{"labels", controller.TaskFilter{Labels: map[string]string{"zone": "a", "a.b": "x\"y"}}, []string{"Camera_1"}},
		{"all together", controller.TaskFilter{
			States: []skalds.State{skalds.Running}, ClassName: "Recorder", Executor: "n1", IDContains: "1", Mode: skalds.ModeActive,
			Labels: map[string]string{"zone": "a"},
		}, []string{"Camera_1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			page, err := s.Tasks(t.Context(), c.filter)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "ids", ids(page.Items), c.want)
			if page.Total != len(c.want) || page.Next != "" {
				t.Errorf("total %d, next %q; want %d and none", page.Total, page.Next, len(c.want))
			}
		})
	}
}

func storePages(t *testing.T, s controller.Store) {
	var want []string
	for i := range 25 { // five share each time, so that the id decides
		task := newTask(fmt.Sprintf("task-%02d", i), int64(1000-i/5))
		create(t, s, task)
		want = append(want, task.ID)
	}
	page, err := s.Tasks(t.Context(), controller.TaskFilter{Offset: 7, Limit: 6})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "by offset", ids(page.Items), want[7:13])
	if page.Total != 25 {
		t.Errorf("total %d, want 25", page.Total)
	}
	var got []string
	f := controller.TaskFilter{Limit: 6}
	for pages := 1; ; pages++ {
		page, err := s.Tasks(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids(page.Items)...)
		if page.Next == "" {
			if pages != 5 {
				t.Errorf("%d pages, want 5", pages)
			}
			break
		}
		f.Cursor, f.Offset = page.Next, 99
		// What is created meanwhile stands before the cursor and disturbs nothing.
		create(t, s, newTask(fmt.Sprintf("later-%d", pages), 5000))
	}
	same(t, "by cursor", got, want)
	if _, err := s.Tasks(t.Context(), controller.TaskFilter{Cursor: "no cursor!"}); !errors.Is(err, skalds.ErrInvalid) {
		t.Errorf("a wrong cursor: %v, want invalid", err)
	}
	page, err = s.Tasks(t.Context(), controller.TaskFilter{Offset: 1000})
	if err != nil || len(page.Items) != 0 || page.Next != "" {
		t.Errorf("beyond the end: %d items, next %q, %v", len(page.Items), page.Next, err)
	}
}

func storeQueue(t *testing.T, s controller.Store) {
	add := func(id string, priority int, created int64, change func(*skalds.Task)) {
		task := newTask(id, created)
		task.Priority = priority
		if change != nil {
			change(task)
		}
		create(t, s, task)
	}
	add("young", 5, 30, nil)
	add("old", 5, 10, nil)
	add("urgent", 9, 40, nil)
	add("low", 0, 1, nil)
	add("running", 9, 1, func(t *skalds.Task) { t.LifecycleStatus, t.Executor = skalds.Running, "n1" })
	add("quarantined", 9, 1, func(t *skalds.Task) { t.Quarantined = "lost three nodes" })
	queue := func(limit int) []string {
		q, err := s.Queue(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return ids(q)
	}
	same(t, "queue", queue(10), []string{"urgent", "old", "young", "low"})
	same(t, "limited", queue(2), []string{"urgent", "old"})
	task := read(t, s, "urgent")
	task.LifecycleStatus, task.Executor = skalds.Assigning, "n1"
	save(t, s, task)
	released := read(t, s, "quarantined")
	released.Quarantined = ""
	save(t, s, released)
	same(t, "after an assignment and a release", queue(10), []string{"quarantined", "old", "young", "low"})
}

func storeOnNode(t *testing.T, s controller.Store) {
	for i, st := range skalds.States() {
		task := newTask("n1-"+string(st), int64(i))
		task.LifecycleStatus, task.Executor = st, "n1"
		create(t, s, task)
	}
	other := newTask("n2", 1)
	other.LifecycleStatus, other.Executor = skalds.Running, "n2"
	create(t, s, other)
	held := newTask("held back", 1)
	held.LifecycleStatus = skalds.Paused
	create(t, s, held)
	got, err := s.OnNode(t.Context(), "n1")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "on n1", ids(got), []string{"n1-Assigning", "n1-Running", "n1-Paused"})
	if got, err = s.OnNode(t.Context(), ""); err != nil || len(got) != 0 {
		t.Errorf("on no node: %v, %v", ids(got), err)
	}
	placed, err := s.Placed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "on all nodes", placed, map[string][]controller.PlacedTask{
		"n1": {{ID: "n1-Assigning", State: skalds.Assigning}, {ID: "n1-Running", State: skalds.Running}, {ID: "n1-Paused", State: skalds.Paused}},
		"n2": {{ID: "n2", State: skalds.Running}},
	})
}

func storeUnacked(t *testing.T, s controller.Store) {
	for i, c := range []struct {
		id             string
		state          skalds.State
		executor       string
		desired, acked int64
	}{
		{"behind", skalds.Running, "n1", 3, 2},
		{"final", skalds.Cancelled, "n1", 4, 3},
		{"level", skalds.Running, "n1", 3, 3},
		{"on no node", skalds.Created, "", 1, 0},
	} {
		task := newTask(c.id, int64(i))
		task.LifecycleStatus, task.Executor, task.DesiredRevision, task.AckedRevision = c.state, c.executor, c.desired, c.acked
		create(t, s, task)
	}
	list := func(limit int) []string {
		got, err := s.Unacked(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return ids(got)
	}
	same(t, "unacknowledged", list(10), []string{"behind", "final"})
	same(t, "limited", list(1), []string{"behind"})
	task := read(t, s, "behind")
	task.AckedRevision = 3
	save(t, s, task)
	same(t, "after an acknowledgement", list(10), []string{"final"})
}

func storeCounts(t *testing.T, s controller.Store) {
	for i, c := range []struct {
		class string
		state skalds.State
	}{{"B", skalds.Running}, {"A", skalds.Running}, {"A", skalds.Failed}, {"A", skalds.Running}} {
		task := newTask(fmt.Sprint(i), int64(i))
		task.ClassName, task.LifecycleStatus = c.class, c.state
		create(t, s, task)
	}
	all, err := s.CountByState(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "all", all, map[skalds.State]int{skalds.Running: 3, skalds.Failed: 1})
	ofA, err := s.CountByState(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "of A", ofA, map[skalds.State]int{skalds.Running: 2, skalds.Failed: 1})
	classes, err := s.ClassNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "classes", classes, []string{"A", "B"})
}
