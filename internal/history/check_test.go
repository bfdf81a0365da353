package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
)

var bounds = Bounds{Linger: time.Second}

const second = int64(time.Second)

// clean is the history of tasks that have lived as they should: "plain" has run once; "moved" has lost its node, which had done its
// work and could not say so; "stopped" was cancelled while its process began; "again" has failed and was retried.
func clean() []Event {
	return []Event{
		{At: 1 * second, Kind: Asked, Task: "plain", Verb: "create"},
		{At: 2 * second, Kind: Accepted, Task: "plain", State: skalds.Finished},
		{At: 3 * second, Kind: Stored, Task: "plain", Revision: 1, State: skalds.Created},
		{At: 4 * second, Kind: Stored, Task: "plain", Revision: 2, State: skalds.Assigning, Epoch: 1, Node: "a"},
		{At: 4 * second, Kind: Stored, Task: "plain", Revision: 2, State: skalds.Assigning, Epoch: 1, Node: "a"}, // by both controllers
		{At: 5 * second, Kind: Began, Task: "plain", Epoch: 1, Attempt: 1, PID: 10, Node: "a"},
		{At: 6 * second, Kind: Finished, Task: "plain", Epoch: 1, Attempt: 1, PID: 10, Node: "a"},
		{At: 7 * second, Kind: Stored, Task: "plain", Revision: 4, State: skalds.Finished, Epoch: 1, Run: 1, Node: "a", EndedAt: 6500},
		{At: 7*second + 1, Kind: Seen, Task: "plain", Epoch: 1, PID: 10},
		{At: 40 * second, Kind: Recorded, Task: "plain", Epoch: 1, Attempt: 1, PID: 10, Node: "a", Exit: skalds.ExitCompleted},

		{At: 1 * second, Kind: Unsure, Task: "moved"},
		{At: 3 * second, Kind: Stored, Task: "moved", Revision: 2, State: skalds.Assigning, Epoch: 1, Node: "a"},
		{At: 4 * second, Kind: Began, Task: "moved", Epoch: 1, Attempt: 1, PID: 20, Node: "a"},
		{At: 5 * second, Kind: Beat, Task: "moved", Epoch: 1, Attempt: 1, PID: 20, Node: "a"},
		{At: 5 * second, Kind: Recorded, Task: "moved", Epoch: 1, Attempt: 1, PID: 20, Node: "a"},
		{At: 6 * second, Kind: Finished, Task: "moved", Epoch: 1, Attempt: 1, PID: 20, Node: "a"},
		{At: 7 * second, Kind: Stored, Task: "moved", Revision: 5, State: skalds.Created, Epoch: 2},
		{At: 7 * second, Kind: Recorded, Task: "moved", Epoch: 1, Attempt: 1, Node: "a", Exit: skalds.ExitNodeLost},
		{At: 8 * second, Kind: Stored, Task: "moved", Revision: 6, State: skalds.Running, Epoch: 3, Node: "b"},
		{At: 9 * second, Kind: Began, Task: "moved", Epoch: 3, Attempt: 1, PID: 21, Node: "b"},
		{At: 10 * second, Kind: Finished, Task: "moved", Epoch: 3, Attempt: 1, PID: 21, Node: "b"},
		{At: 11 * second, Kind: Stored, Task: "moved", Revision: 7, State: skalds.Finished, Epoch: 3, Node: "b", EndedAt: 10500},
		{At: 40 * second, Kind: Recorded, Task: "moved", Epoch: 1, Attempt: 1, PID: 20, Node: "a", Exit: skalds.ExitCompleted},
		{At: 40 * second, Kind: Recorded, Task: "moved", Epoch: 3, Attempt: 1, PID: 21, Node: "b", Exit: skalds.ExitCompleted},

		{At: 1 * second, Kind: Accepted, Task: "stopped"},
		{At: 2 * second, Kind: Stored, Task: "stopped", Revision: 2, State: skalds.Assigning, Epoch: 1, Node: "a"},
		{At: 3 * second, Kind: Asked, Task: "stopped", Verb: Cancel},
		{At: 4 * second, Kind: Stored, Task: "stopped", Revision: 3, State: skalds.Cancelled, Epoch: 1, Node: "a", EndedAt: 3500},
		{At: 4*second + 1, Kind: Began, Task: "stopped", Epoch: 1, Attempt: 1, PID: 30, Node: "a"},
		{At: 4*second + 2, Kind: Beat, Task: "stopped", Epoch: 1, Attempt: 1, PID: 30, Node: "a"},
		{At: 40 * second, Kind: Recorded, Task: "stopped", Epoch: 1, Attempt: 1, PID: 30, Node: "a", Exit: skalds.ExitCancelled},

		{At: 1 * second, Kind: Accepted, Task: "again"},
		{At: 2 * second, Kind: Stored, Task: "again", Revision: 2, State: skalds.Running, Epoch: 1, Node: "a"},
		{At: 2 * second, Kind: Began, Task: "again", Epoch: 1, Attempt: 1, PID: 40, Node: "a"},
		{At: 3 * second, Kind: Stored, Task: "again", Revision: 3, State: skalds.Failed, Epoch: 1, Run: 1, Node: "a", EndedAt: 2500},
		{At: 4 * second, Kind: Asked, Task: "again", Verb: Retry},
		{At: 5 * second, Kind: Stored, Task: "again", Revision: 4, State: skalds.Created, Epoch: 2}, // told by an event, which knows no run
		{At: 6 * second, Kind: Began, Task: "again", Epoch: 3, Attempt: 1, PID: 41, Node: "a"},
		{At: 7 * second, Kind: Finished, Task: "again", Epoch: 3, Attempt: 1, PID: 41, Node: "a"},
		{At: 8 * second, Kind: Stored, Task: "again", Revision: 9, State: skalds.Finished, Epoch: 3, Run: 2, Node: "a", EndedAt: 7500},
		{At: 40 * second, Kind: Recorded, Task: "again", Epoch: 1, Attempt: 1, PID: 40, Node: "a", Exit: skalds.ExitPanic},
		{At: 40 * second, Kind: Recorded, Task: "again", Epoch: 3, Attempt: 1, PID: 41, Node: "a", Exit: skalds.ExitCompleted},

		{At: 1 * second, Kind: Refused, Task: "no"},
		{At: 2 * second, Kind: Missing, Task: "no"},
		{At: 5 * second, Kind: Fault, Text: "kill a host"},
		{At: 30 * second, Kind: Settled},
	}
}

// planted are violations, each put once into the clean history. With without, events that match it are taken out.
var planted = []struct {
	name    string
	rules   []string // that must find it, and no others
	add     []Event
	without func(Event) bool
}{
	{
		name: "it is gone", rules: []string{"an accepted task is lost"},
		add: []Event{{At: 20 * second, Kind: Missing, Task: "plain"}},
	},
	{
		name: "it was never seen", rules: []string{"a task has not come to its end"},
		add: []Event{{At: 1 * second, Kind: Accepted, Task: "new"}},
	},
	{
		name: "it still waits", rules: []string{"a task has not come to its end"},
		add: []Event{{At: 1 * second, Kind: Accepted, Task: "new"}, {At: 2 * second, Kind: Stored, Task: "new", Revision: 1, State: skalds.Created}},
	},
	{
		name: "of one that nobody was told of, too", rules: []string{"a task has not come to its end"},
		add: []Event{{At: 1 * second, Kind: Unsure, Task: "new"}, {At: 2 * second, Kind: Stored, Task: "new", Revision: 1, State: skalds.Created}},
	},
	{
		name: "it failed", rules: []string{"a task has ended otherwise than it was to"},
		add: []Event{
			{At: 1 * second, Kind: Accepted, Task: "new", State: skalds.Finished},
			{At: 2 * second, Kind: Stored, Task: "new", Revision: 5, State: skalds.Failed, Epoch: 1, EndedAt: 1500},
		},
	},
	{
		name: "it was cancelled before anybody asked", rules: []string{"a task was cancelled by nobody"},
		add: []Event{
			{At: 1 * second, Kind: Accepted, Task: "new"},
			{At: 3 * second, Kind: Asked, Task: "new", Verb: Cancel},
			{At: 2 * second, Kind: Stored, Task: "new", Revision: 5, State: skalds.Cancelled, Epoch: 1, EndedAt: 1500},
		},
	},
	{
		name: "two leaders hand it out", rules: []string{"a revision has two contents", "an epoch is on two nodes"},
		add: []Event{{At: 4 * second, Kind: Stored, Task: "plain", Revision: 2, State: skalds.Assigning, Epoch: 1, Node: "b"}},
	},
	{
		name: "its epoch falls", rules: []string{"an epoch or a run falls"},
		add: []Event{{At: 8 * second, Kind: Stored, Task: "again", Revision: 8, State: skalds.Running, Epoch: 1, Run: 1, Node: "a"}},
	},
	{
		name: "another node runs its epoch", rules: []string{"an epoch is on two nodes"},
		add: []Event{{At: 40 * second, Kind: Recorded, Task: "moved", Epoch: 1, Attempt: 7, PID: 20, Node: "b", Exit: skalds.ExitHostStop}},
	},
	{
		name: "two epochs run at once", rules: []string{"two processes at once"},
		add: []Event{{At: 9*second + 1, Kind: Beat, Task: "moved", Epoch: 1, Attempt: 1, PID: 20, Node: "a"}},
	},
	{
		name: "two attempts run at once", rules: []string{"two processes at once"},
		add: []Event{{At: 9*second + 1, Kind: Began, Task: "moved", Epoch: 3, Attempt: 2, PID: 22, Node: "b"}},
	},
	{
		name: "its document wakes up", rules: []string{"a task runs again after its end"},
		add: []Event{
			{At: 12 * second, Kind: Stored, Task: "plain", Revision: 5, State: skalds.Running, Epoch: 1, Node: "a"},
			{At: 13 * second, Kind: Stored, Task: "plain", Revision: 6, State: skalds.Finished, Epoch: 1, Node: "a", EndedAt: 6500},
		},
	},
	{
		name: "a run that nobody asked for", rules: []string{"a task runs again after its end"},
		add: []Event{{At: 12 * second, Kind: Stored, Task: "plain", Revision: 5, State: skalds.Finished, Epoch: 1, Run: 2, Node: "a", EndedAt: 6500}},
	},
	{
		name: "a process begins after the end", rules: []string{"a task runs again after its end"},
		add: []Event{{At: 7*second + 5, Kind: Began, Task: "plain", Epoch: 1, Attempt: 2, PID: 11, Node: "a"}},
	},
	{
		name: "a process of a later epoch", rules: []string{"a task runs again after its end"},
		add: []Event{{At: 6*second + 9, Kind: Began, Task: "plain", Epoch: 2, Attempt: 1, PID: 11, Node: "b"}},
	},
	{
		name: "a process begins long after a cancel", rules: []string{"a task runs again after its end"},
		add: []Event{{At: 6 * second, Kind: Began, Task: "stopped", Epoch: 1, Attempt: 2, PID: 31, Node: "a"}},
	},
	{
		name: "a retry before the end is none", rules: []string{"a task runs again after its end"},
		add: []Event{{At: 5 * second, Kind: Asked, Task: "plain", Verb: Retry}, {At: 8 * second, Kind: Began, Task: "plain", Epoch: 2, Attempt: 1, PID: 11, Node: "b"}},
	},
	{
		name: "it ends twice", rules: []string{"a task has two ends"},
		add: []Event{
			{At: 5 * second, Kind: Asked, Task: "plain", Verb: Cancel},
			{At: 8 * second, Kind: Stored, Task: "plain", Revision: 5, State: skalds.Cancelled, Epoch: 1, Node: "a", EndedAt: 8000},
		},
	},
	{
		name: "it ends at two times", rules: []string{"a task has two ends"},
		add: []Event{
			{At: 5 * second, Kind: Asked, Task: "plain", Verb: Retry},
			{At: 8 * second, Kind: Stored, Task: "plain", Revision: 5, State: skalds.Finished, Epoch: 1, Run: 1, Node: "a", EndedAt: 7001},
		},
	},
	{
		name: "an attempt ends twice", rules: []string{"an attempt has two ends"},
		add: []Event{{At: 39 * second, Kind: Recorded, Task: "plain", Epoch: 1, Attempt: 1, PID: 10, Node: "a", Exit: skalds.ExitPanic}},
	},
	{
		name: "two attempts complete", rules: []string{"an epoch was completed twice"},
		add: []Event{{At: 40 * second, Kind: Recorded, Task: "plain", Epoch: 1, Attempt: 2, PID: 12, Node: "a", Exit: skalds.ExitCompleted}},
	},
	{
		name: "it finished in an epoch that never ran", rules: []string{"a task has finished without having run"},
		without: func(e Event) bool {
			return e.Task == "moved" && e.Epoch == 3 && (e.Kind == Began || e.Kind == Finished)
		},
	},
	{
		name: "it finished in the middle of its work", rules: []string{"a task has finished without having run"},
		without: func(e Event) bool { return e.Task == "plain" && e.Kind == Finished },
	},
	{
		name: "its record is lost", rules: []string{"a task has finished without a record"},
		without: func(e Event) bool { return e.Task == "moved" && e.Epoch == 3 && e.Kind == Recorded },
	},
	{
		name: "its process lives on", rules: []string{"a process is left behind"},
		add: []Event{{At: 9 * second, Kind: Seen, Task: "plain", Epoch: 1, PID: 10}},
	},
	{
		name: "a process of a task that nobody knows", rules: []string{"a process is left behind"},
		add: []Event{{At: 31 * second, Kind: Seen, Task: "stranger", PID: 99}},
	},
}

func TestACleanHistory(t *testing.T) {
	for range 20 { // in any order
		events := clean()
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		found, counts := Check(events, bounds)
		for _, v := range found {
			t.Errorf("%s", v)
		}
		if len(counts) != len(rules) {
			t.Fatalf("%d counts of %d rules", len(counts), len(rules))
		}
		for _, c := range counts {
			if c.Checked == 0 || c.Broken != 0 || c.Rule == "" {
				t.Errorf("%+v: it has much to look at, and nothing to find", c)
			}
		}
	}
	if found, counts := Check(nil, bounds); len(found) != 0 || slices.ContainsFunc(counts, func(c Count) bool { return c.Checked != 0 }) {
		t.Errorf("nothing has %v %v", found, counts)
	}
}

// TestPartOfACleanHistory leaves out what an observer may miss.
func TestPartOfACleanHistory(t *testing.T) {
	for range 200 {
		part := slices.DeleteFunc(clean(), func(e Event) bool {
			may := e.Kind == Stored && !e.State.Final() || e.Kind == Began || e.Kind == Beat || e.Kind == Seen
			return may && rand.N(2) == 0
		})
		found, _ := Check(part, bounds)
		for _, v := range found {
			t.Fatalf("%s", v)
		}
	}
}

func TestPlantedViolations(t *testing.T) {
	found := map[string]bool{}
	for _, p := range planted {
		t.Run(p.name, func(t *testing.T) {
			events := append(clean(), p.add...)
			if p.without != nil {
				events = slices.DeleteFunc(events, p.without)
			}
			rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			var got []string
			list, counts := Check(events, bounds)
			for _, v := range list {
				if !slices.Contains(got, v.Rule) {
					got = append(got, v.Rule)
				}
				found[v.Rule] = true
				if v.Task == "" || v.Text == "" || len(v.Events) == 0 || !strings.Contains(v.String(), v.Task) {
					t.Errorf("says too little: %+v", v)
				}
			}
			for _, c := range counts {
				if (c.Broken > 0) != slices.Contains(got, c.Rule) {
					t.Errorf("the count says %+v", c)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(p.rules, got); diff != "" {
				t.Errorf("(-planted +found):\n%s", diff)
			}
		})
	}
	for _, r := range rules {
		if !found[r.name] {
			t.Errorf("nothing was planted for %q", r.name)
		}
	}
}

// TestRecorder appends to one file from many sides, as processes do.
func TestRecorder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	var wg sync.WaitGroup
	const sides, each = 8, 200
	for side := range sides {
		wg.Go(func() {
			r, err := Record(path)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range each {
				if err := r.Add(Event{Kind: Beat, Task: strings.Repeat("x", 100), PID: side, Attempt: i}); err != nil {
					t.Error(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	events, err := ReadFile(path)
	if err != nil || len(events) != sides*each {
		t.Fatalf("%d events, %v", len(events), err)
	}
	next := make([]int, sides)
	for _, e := range events {
		if e.Attempt != next[e.PID] || e.At == 0 || e.Kind != Beat {
			t.Fatalf("side %d: %+v, want number %d", e.PID, e, next[e.PID])
		}
		next[e.PID]++
	}
}

func TestRead(t *testing.T) {
	var b bytes.Buffer
	for _, e := range clean() {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	b.WriteString(`{"at":1,"kind":"beat","ta`) // of a process that was killed
	got, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(clean(), got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if _, err := Read(strings.NewReader("{}\nnonsense\n{}\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("nonsense gives %v", err)
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there gives %v", err)
	}
}
