package skalds

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every pair of states: what is not drawn above the type is forbidden.
func TestTransitions(t *testing.T) {
	allowed := map[State]string{
		Created:   "Assigning Paused Cancelled Failed",
		Assigning: "Running Created Cancelled Failed",
		Running:   "Paused Finished Failed Cancelled Created",
		Paused:    "Running Finished Failed Cancelled Created",
		Finished:  "Created",
		Failed:    "Created",
		Cancelled: "Created",
	}
	for _, from := range States() {
		next := strings.Fields(allowed[from])
		for _, to := range States() {
			if got, want := from.CanBecome(to), slices.Contains(next, string(to)); got != want {
				t.Errorf("%s → %s: %v, want %v", from, to, got, want)
			}
		}
		if from.CanBecome("") || from.CanBecome("Lost") || from.CanBecome(from) {
			t.Errorf("%s may become something that is no state, or itself", from)
		}
		if !from.Valid() {
			t.Errorf("%s is not valid", from)
		}
		if got, want := from.Final(), from == Finished || from == Failed || from == Cancelled; got != want {
			t.Errorf("%s is final: %v", from, got)
		}
		if got, want := from.OnNode(), from == Assigning || from == Running || from == Paused; got != want {
			t.Errorf("%s is on a node: %v", from, got)
		}
		if from.Final() && (len(transitions[from]) != 1 || transitions[from][0] != Created) {
			t.Errorf("out of %s leads more than a retry: %v", from, transitions[from])
		}
	}
	if len(transitions) != len(States()) {
		t.Errorf("%d states have transitions, there are %d", len(transitions), len(States()))
	}
	for _, s := range []State{"", "running", "Lost"} {
		if s.Valid() || s.Final() || s.OnNode() || s.CanBecome(Created) {
			t.Errorf("%q counts as a state", s)
		}
	}
}

func TestWhoseFaultAnExitIs(t *testing.T) {
	worker := []ExitKind{ExitError, ExitPanic, ExitExit, ExitSignal, ExitOOM, ExitLimit, ExitStartTimeout, ExitRunTimeout, ExitStall, ExitHandshake, ExitRPCLost}
	others := []ExitKind{ExitCompleted, ExitLeaseLost, ExitNodeLost, ExitHostRestart, ExitHostStop, ExitDrain, ExitPreempted, ExitSuperseded, ExitCancelled}
	for _, k := range worker {
		if !k.WorkerCaused() {
			t.Errorf("%s does not count against the budget", k)
		}
	}
	for _, k := range others {
		if k.WorkerCaused() {
			t.Errorf("%s counts against the budget", k)
		}
	}
	var all []string
	for _, k := range append(worker, others...) {
		all = append(all, string(k))
	}
	slices.Sort(all)
	want := "cancelled completed drain error exit handshake host_restart host_stop lease_lost limit node_lost oom panic preempted rpc_lost run_timeout signal stall start_timeout superseded"
	if got := strings.Join(all, " "); got != want {
		t.Errorf("kinds on the wire:\n%s, want\n%s", got, want)
	}
}

func TestRetryFor(t *testing.T) {
	full := func(n int) Retry {
		return Retry{MaxAttempts: n, InitialDelay: Duration(time.Second), MaxDelay: Duration(time.Minute), Factor: 2}
	}
	said := Retry{MaxAttempts: 2, InitialDelay: 3, MaxDelay: 4, Factor: 5}
	for _, tc := range []struct {
		name        string
		r           Retry
		persistent  bool
		workerRetry int
		want        Retry
	}{
		{"persistent", Retry{}, true, -1, full(Unlimited)},
		{"persistent, whatever TASK_WORKER_RETRY says", Retry{}, true, 5, full(Unlimited)},
		{"not persistent", Retry{}, false, -1, full(3)},
		{"TASK_WORKER_RETRY=0 is one attempt", Retry{}, false, 0, full(1)},
		{"TASK_WORKER_RETRY=4", Retry{}, false, 4, full(5)},
		{"said by the task", Retry{MaxAttempts: 7}, true, 4, full(7)},
		{"no limit, said by the task", Retry{MaxAttempts: Unlimited}, false, 4, full(Unlimited)},
		{"all said", said, false, -1, said},
	} {
		if got := RetryFor(tc.r, tc.persistent, tc.workerRetry); got != tc.want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestWithDefaults(t *testing.T) {
	s := Spec{ID: "a", ClassName: "C"}.WithDefaults(-1)
	if s.Mode != ModePassive || s.OnDisconnect != OnDisconnectStop || s.Timeouts.Start.D() != DefaultStartTimeout || s.Name != "a" || s.Retry.MaxAttempts != 3 {
		t.Errorf("got %+v", s)
	}
	if s := (Spec{ID: "a", Mode: ModeActive}).WithDefaults(-1); s.OnDisconnect != OnDisconnectKeep {
		t.Errorf("an edge task: %+v", s)
	}
	said := Spec{ID: "a", Mode: ModeActive, OnDisconnect: OnDisconnectStop, Name: "n", Timeouts: Timeouts{Start: 5}, Retry: Retry{MaxAttempts: 1, InitialDelay: 2, MaxDelay: 3, Factor: 4}}
	if got := said.WithDefaults(9); !reflect.DeepEqual(got, said) {
		t.Errorf("what was said has changed: %+v", got)
	}
}

func TestValidateNamesAllFaultsAtOnce(t *testing.T) {
	s := Spec{
		ID: "a\x00b", Mode: "Lazy", Priority: 11, OnDisconnect: "panic",
		Resources: Resources{-1, -1}, Limits: Limits{-1, -1, -1, -1},
		Retry:       Retry{MaxAttempts: -2, InitialDelay: -1, MaxDelay: -1, Factor: 0.5, OOM: &OOMRetry{-2, 0.5, -1}},
		Timeouts:    Timeouts{-1, -1, -1, -1},
		Constraints: []string{"zone=a", "=", "x!="},
		Attachments: json.RawMessage(`"` + strings.Repeat("x", MaxAttachmentsBytes) + `"`),
	}
	err := Invalid("the task is not valid", s.Validate())
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, ErrInvalid) || e.Err != nil {
		t.Fatalf("got %#v", err)
	}
	var got []string
	for _, f := range e.Fields {
		got = append(got, f.Field)
		if f.Message == "" {
			t.Errorf("%s: says nothing", f.Field)
		}
	}
	want := []string{
		"id", "className", "mode", "priority", "resources.cpuCores", "resources.memoryBytes", "limits.cpuCores", "limits.memoryBytes", "limits.pids",
		"limits.ioWeight",
		"onDisconnect", "attachments", "retry.maxAttempts", "retry.initialDelay", "retry.maxDelay", "retry.factor",
		"retry.oom.maxAttempts", "retry.oom.factor", "retry.oom.maxMemoryBytes",
		"timeouts.queue", "timeouts.start", "timeouts.run", "timeouts.stall", "constraints", "constraints",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	good := Spec{ID: "camera/1 ä", ClassName: "Recorder", Priority: 10, Constraints: []string{"gpu", "zone=a", "arch!=arm64"}}
	if err := good.Validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if err := good.WithDefaults(-1); err.Validate() != nil {
		t.Errorf("a good one with defaults: %v", err.Validate())
	}
	if Invalid("x", good.Validate()) != nil {
		t.Error("no fault became an error")
	}
}

func TestTaskEventInBothSpellings(t *testing.T) {
	want := TaskEvent{ID: "t", Title: "x", CreateDateTime: 1, UpdateDateTime: 2, TaskIDs: []string{"a", "b"}}
	for _, in := range []string{
		`{"id":"t","title":"x","initiator":null,"recipient":null,"createDateTime":1,"updateDateTime":2,"taskIds":["a","b"]}`,
		`{"id":"t","title":"x","initiator":null,"recipient":null,"create_date_time":1,"update_date_time":2,"task_ids":["a","b"]}`,
	} {
		var got TaskEvent
		if err := json.Unmarshal([]byte(in), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
	}
	b, err := json.Marshal(want)
	if err != nil || string(b) != `{"id":"t","title":"x","initiator":null,"recipient":null,"createDateTime":1,"updateDateTime":2,"taskIds":["a","b"]}` {
		t.Errorf("written %s, %v", b, err)
	}
	for _, bad := range []string{`[]`, `{"taskIds":"a"}`, `{"task_ids":{}}`, `{`} {
		if err := json.Unmarshal([]byte(bad), new(TaskEvent)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

// fill puts something into everything that can be reached from v.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 8)) // with room: an append must not write into the other's
		fill(v.Index(0))
	case reflect.Map:
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(k)
		fill(e)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(k, e)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic(v.Kind())
	}
}

// shared lists paths at which two values share memory.
func shared(path string, a, b reflect.Value) (out []string) {
	switch a.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		if a.Pointer() == b.Pointer() {
			return []string{path}
		}
	}
	switch a.Kind() {
	case reflect.Pointer:
		out = shared(path, a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			out = append(out, shared(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))...)
		}
	case reflect.Slice:
		for i := range a.Len() {
			out = append(out, shared(path+"[]", a.Index(i), b.Index(i))...)
		}
	case reflect.Map:
		for _, k := range a.MapKeys() {
			out = append(out, shared(path+"{}", a.MapIndex(k), b.MapIndex(k))...)
		}
	}
	return out
}

func TestCloneSharesNothing(t *testing.T) {
	var task Task
	fill(reflect.ValueOf(&task).Elem())
	c := task.Clone()
	if !reflect.DeepEqual(&task, c) {
		t.Errorf("the clone differs: %+v", c)
	}
	if paths := shared("Task", reflect.ValueOf(task), reflect.ValueOf(*c)); len(paths) > 0 {
		t.Errorf("shared with the clone: %v", paths)
	}
	if c := new(Task).Clone(); !reflect.DeepEqual(c, new(Task)) {
		t.Errorf("the clone of nothing: %+v", c)
	}
}

// Documents of the Python original are read, and their names written, letter by letter.
func TestNamesOfTheOriginal(t *testing.T) {
	const doc = `{"id":"task_1","className":"MyWorker","source":"Test","name":"n","description":"d","executor":"node_1","dependencies":["a"],
		"mode":"Passive","isPersistent":true,"createDateTime":1795474382118,"updateDateTime":1795474382119,"deadlineDateTime":1796079182118,
		"lifecycleStatus":"Created","priority":3,"attachments":{"rtspUrl":"rtsp://x/s","fixFrame":30}}`
	var task Task
	if err := json.Unmarshal([]byte(doc), &task); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(&task)
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := errors.Join(json.Unmarshal(b, &got), json.Unmarshal([]byte(doc), &want)); err != nil {
		t.Fatal(err)
	}
	for k, v := range want {
		if !reflect.DeepEqual(got[k], v) {
			t.Errorf("%s: got %v, want %v", k, got[k], v)
		}
	}
	if err := json.Unmarshal([]byte(`{"id":"t","name":null,"description":null,"executor":null,"dependencies":null,"attachments":null}`), &task); err != nil {
		t.Errorf("nulls: %v", err)
	}
	if got := strings.Join([]string{string(ModeActive), string(ModePassive), string(ModePassiveProcess)}, " "); got != "Active Passive PassiveProcess" {
		t.Errorf("modes %s", got)
	}
	if got := strings.Join([]string{string(NodeModeNode), string(NodeModeEdge), string(NodeModeSingleProcess)}, " "); got != "node edge single_process" {
		t.Errorf("node modes %s", got)
	}
	if got := strings.Join([]string{TopicTaskAssign, TopicTaskCancel, TopicTaskUpdate, TopicTesting}, " "); got != "task.assign task.cancel task.update.attachment testing" {
		t.Errorf("topics %s", got)
	}
}

func TestNewerCommand(t *testing.T) {
	order := []Command{{Generation: 1, Epoch: 1, DesiredRevision: 9}, {Generation: 1, Epoch: 2, DesiredRevision: 1}, {Generation: 1, Epoch: 2, DesiredRevision: 2}, {Generation: 2}}
	for i := range order {
		for j := range order {
			if got := order[i].Newer(&order[j]); got != (i > j) {
				t.Errorf("%d newer than %d: %v", i, j, got)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk full")
	err := error(&Error{Code: CodeUnavailable, Message: "cannot store", Fields: []FieldError{{"a.b", "is bad"}}, Err: cause})
	if err.Error() != "cannot store; a.b: is bad: disk full" || !errors.Is(err, cause) || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if errors.Is(err, &Error{Code: CodeUnavailable, Message: "another one"}) {
		t.Error("equal to an error with another text")
	}
	wrapped := errors.Join(errors.New("x"), Errorf(CodeConflict, "id %s exists", "a"))
	if CodeOf(wrapped) != CodeConflict || CodeOf(cause) != CodeInternal {
		t.Errorf("codes %s %s", CodeOf(wrapped), CodeOf(cause))
	}
	if got := Invalid("m", errors.Join(Field("f", "bad"), cause)); !errors.Is(got, cause) || len(got.(*Error).Fields) != 1 {
		t.Errorf("got %#v", got)
	}
}

func TestSplitRef(t *testing.T) {
	if n, v, err := SplitRef("rtsp-worker@1.2.0"); n != "rtsp-worker" || v != "1.2.0" || err != nil {
		t.Errorf("got %s %s %v", n, v, err)
	}
	for _, bad := range []string{"", "a", "@1", "a@"} {
		if _, _, err := SplitRef(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	w := WorkerInfo{Name: "a", Version: "1.0.0", Classes: []ClassInfo{{ClassName: "C"}}}
	if w.Ref() != "a@1.0.0" || w.Class("C") == nil || w.Class("D") != nil {
		t.Errorf("got %+v", w)
	}
}

func TestAmounts(t *testing.T) {
	if got := (Resources{1, 2}).Add(Resources{0.5, 3}); got != (Resources{1.5, 5}) {
		t.Errorf("sum %+v", got)
	}
	if got := (Usage{1, 5}).Max(Usage{2, 3}); got != (Usage{2, 5}) {
		t.Errorf("max %+v", got)
	}
	if !(Limits{}).IsZero() || (Limits{PIDs: 1}).IsZero() {
		t.Error("IsZero")
	}
}
