package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/dashboard"
	"github.com/skalds-go/skalds/internal/testlog"
)

// fake is a controller in memory with the rules that the routes can see.
type fake struct {
	mu         sync.Mutex
	tasks      map[string]*skalds.Task
	order      []string
	keys       map[string]string
	live       map[string]*skalds.InstanceStatus
	nodes      []controller.NodeView
	attempts   map[string][]skalds.Attempt
	candidates []controller.Candidate // of every task
	subs       map[int]func(string, skalds.Change)
	nextSub    int
	changes    []skalds.Change
	logs       func(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error)
	deliver    func(id, token string, body io.Reader) error
	beats      map[string]bool
	fail       error
	down       map[string]string
	who        string
}

func newFake() *fake {
	return &fake{
		tasks: map[string]*skalds.Task{}, keys: map[string]string{}, live: map[string]*skalds.InstanceStatus{}, beats: map[string]bool{},
		attempts: map[string][]skalds.Attempt{}, subs: map[int]func(string, skalds.Change){}, down: map[string]string{"store": ""},
		nodes: []controller.NodeView{{
			Node: skalds.Node{ID: "node-1", Mode: skalds.NodeModeNode, Incarnation: 3}, Online: true, Greeted: true, SeenAt: 1000,
			Heartbeat: &skalds.Heartbeat{
				NodeID: "node-1", Incarnation: 3, Seq: 7, Capacity: skalds.Capacity{CPUCores: 2, MemoryBytes: 4 << 30},
				Used: skalds.Usage{CPUCores: 0.5, MemoryBytes: 1 << 30}, Classes: []string{"Echo"}, Workers: []string{"echo@1.0.0"},
			},
		}},
	}
}

func (f *fake) view(t *skalds.Task) controller.TaskView {
	return controller.TaskView{Task: t.Clone(), Live: f.live[t.ID], Beats: f.beats[t.ID]}
}

func (f *fake) publish(t *skalds.Task) {
	c := skalds.Change{
		Type: skalds.ChangeTask, TaskID: t.ID, ClassName: t.ClassName, State: t.LifecycleStatus, Phase: t.Phase, Epoch: t.Epoch,
		Revision: t.Revision, Error: t.Error, Exception: t.Exception, At: time.Now().UnixMilli(),
	}
	f.changes = append(f.changes, c)
	for _, fn := range f.subs {
		fn(fmt.Sprint(len(f.changes)), c)
	}
}

func (f *fake) Create(_ context.Context, r controller.CreateRequest) (controller.TaskView, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return controller.TaskView{}, false, f.fail
	}
	f.who = r.Who
	s := r.Spec
	if s.ID == "" {
		s.ID = fmt.Sprintf("made-%d", len(f.tasks))
	}
	if s.Survive {
		return controller.TaskView{}, false, &skalds.Error{Code: skalds.CodeNotSupported, Message: "not built", Fields: []skalds.FieldError{{Field: "survive", Message: "is not supported yet"}}}
	}
	err := s.Validate()
	if s.ClassName != "" && s.ClassName != "Echo" {
		err = skalds.Field("className", fmt.Sprintf("%q is unknown; known classes: Echo", s.ClassName))
	}
	if err != nil {
		return controller.TaskView{}, false, skalds.Invalid("the task cannot be accepted", err)
	}
	if id, used := f.keys[r.IdempotencyKey]; r.IdempotencyKey != "" && used {
		t := f.tasks[id]
		if t.IdempotencyHash != r.BodyHash {
			return controller.TaskView{}, false, skalds.Invalid("the request cannot be repeated", skalds.Field("Idempotency-Key", "was used for another body before"))
		}
		return f.view(t), false, nil
	}
	if f.tasks[s.ID] != nil {
		return controller.TaskView{}, false, skalds.Errorf(skalds.CodeConflict, "there is a task %q already", s.ID)
	}
	now := time.Now().UnixMilli()
	s.CreateDateTime = now
	t := &skalds.Task{Spec: s.WithDefaults(-1), LifecycleStatus: skalds.Created, Revision: 1, UpdateDateTime: now, IdempotencyHash: r.BodyHash}
	f.tasks[s.ID], f.keys[r.IdempotencyKey] = t, s.ID
	f.order = append([]string{s.ID}, f.order...)
	f.publish(t)
	return f.view(t), true, nil
}

func (f *fake) find(id string) (*skalds.Task, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	t := f.tasks[id]
	if t == nil {
		return nil, skalds.Errorf(skalds.CodeNotFound, "there is no task %q", id)
	}
	return t, nil
}

func (f *fake) Task(_ context.Context, id string) (controller.TaskView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(id)
	if err != nil {
		return controller.TaskView{}, err
	}
	return f.view(t), nil
}

func (f *fake) Tasks(_ context.Context, q controller.TaskFilter) ([]controller.TaskView, int, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []controller.TaskView
	for _, id := range f.order {
		t := f.tasks[id]
		if (len(q.States) == 0 || slices.Contains(q.States, t.LifecycleStatus)) && (q.ClassName == "" || q.ClassName == t.ClassName) &&
			strings.Contains(strings.ToLower(id), strings.ToLower(q.IDContains)) {
			all = append(all, f.view(t))
		}
	}
	from := q.Offset
	if q.Cursor != "" {
		from = slices.IndexFunc(all, func(v controller.TaskView) bool { return v.ID == q.Cursor }) + 1
	}
	from = min(from, len(all))
	to := min(from+q.Limit, len(all))
	next := ""
	if to < len(all) {
		next = all[to-1].ID
	}
	return all[from:to], len(all), next, nil
}

// errSilent as fail is a store that says nothing until it is not asked any more.
var errSilent = errors.New("silent")

func (f *fake) ClassNames(ctx context.Context) ([]string, error) {
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if errors.Is(fail, errSilent) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []string{"Echo"}, fail
}

func (f *fake) move(id string, to skalds.State, from ...skalds.State) (controller.TaskView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(id)
	if err != nil {
		return controller.TaskView{}, err
	}
	if !slices.Contains(from, t.LifecycleStatus) {
		return controller.TaskView{}, skalds.Errorf(skalds.CodeConflict, "task %s is %s", id, t.LifecycleStatus)
	}
	t.LifecycleStatus = to
	t.Revision++
	f.publish(t)
	return f.view(t), nil
}

func (f *fake) Cancel(_ context.Context, id, _ string) (controller.TaskView, error) {
	return f.move(id, skalds.Cancelled, skalds.Created, skalds.Assigning, skalds.Running, skalds.Paused)
}

func (f *fake) Pause(_ context.Context, id, _ string) (controller.TaskView, error) {
	return f.move(id, skalds.Paused, skalds.Created, skalds.Running)
}

func (f *fake) Resume(_ context.Context, id, _ string) (controller.TaskView, error) {
	return f.move(id, skalds.Running, skalds.Paused)
}

func (f *fake) Retry(_ context.Context, id, _ string) (controller.TaskView, error) {
	return f.move(id, skalds.Created, skalds.Finished, skalds.Failed, skalds.Cancelled)
}

func (f *fake) UpdateAttachments(_ context.Context, u controller.AttachmentsUpdate) (controller.TaskView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(u.TaskID)
	if err != nil {
		return controller.TaskView{}, err
	}
	if t.LifecycleStatus.Final() {
		return controller.TaskView{}, skalds.Errorf(skalds.CodeConflict, "task %s has ended", t.ID)
	}
	if u.IfRevision != 0 && u.IfRevision != t.Revision {
		return controller.TaskView{}, skalds.Errorf(skalds.CodeConflict, "task %s has changed", t.ID)
	}
	t.Attachments = u.Attachments
	t.Revision++
	f.publish(t)
	return f.view(t), nil
}

func (f *fake) Attempts(_ context.Context, id string) ([]skalds.Attempt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.find(id)
	return f.attempts[id], err
}

func (f *fake) Artifacts(_ context.Context, id string) ([]skalds.Artifact, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.find(id)
	return nil, err
}

func (f *fake) Usage(_ context.Context, id string, _ time.Duration) ([]skalds.UsageSample, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.find(id)
	return []skalds.UsageSample{{At: 1, Usage: skalds.Usage{CPUCores: 0.1, MemoryBytes: 1 << 20}}, {At: 1001, Usage: skalds.Usage{CPUCores: 0.3, MemoryBytes: 2 << 20}}}, err
}

func (f *fake) Why(_ context.Context, id string) (controller.Explanation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, err := f.find(id)
	if err != nil {
		return controller.Explanation{}, err
	}
	return controller.Explanation{TaskID: id, State: t.LifecycleStatus, Summary: "no node offers the class", Candidates: f.candidates}, nil
}

func (f *fake) Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error) {
	f.mu.Lock()
	_, err := f.find(id)
	fn := f.logs
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if fn == nil {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return fn(ctx, id, tail, follow)
}

func (f *fake) Nodes(context.Context) ([]controller.NodeView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.nodes), nil
}

func (f *fake) Node(_ context.Context, id string) (controller.NodeView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		if n.ID == id {
			return n, nil
		}
	}
	return controller.NodeView{}, skalds.Errorf(skalds.CodeNotFound, "there is no node %q", id)
}

func (f *fake) TasksOnNode(ctx context.Context, id string) (tasks []*skalds.Task, err error) {
	v, err := f.Node(ctx, id)
	for _, p := range v.Tasks {
		tasks = append(tasks, f.tasks[p.ID])
	}
	return tasks, err
}

func (f *fake) mark(id string, change func(*controller.NodeView)) (controller.NodeView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.nodes {
		if f.nodes[i].ID == id {
			change(&f.nodes[i])
			return f.nodes[i], nil
		}
	}
	return controller.NodeView{}, skalds.Errorf(skalds.CodeNotFound, "there is no node %q", id)
}

func (f *fake) Cordon(_ context.Context, id string, cordoned bool, _ string) (controller.NodeView, error) {
	return f.mark(id, func(v *controller.NodeView) { v.Cordoned = cordoned })
}

func (f *fake) Drain(_ context.Context, id string, deadline *time.Duration, _ string) (controller.NodeView, error) {
	return f.mark(id, func(v *controller.NodeView) {
		v.Draining, v.DrainBegan, v.DrainDeadline = true, 1000, 0
		if deadline != nil {
			v.DrainDeadline = 1000 + deadline.Milliseconds()
		}
	})
}

func (f *fake) Undrain(_ context.Context, id, _ string) (controller.NodeView, error) {
	return f.mark(id, func(v *controller.NodeView) { v.Draining, v.DrainBegan, v.DrainDeadline = false, 0, 0 })
}

func (f *fake) DrainForecast(ctx context.Context, id string) (controller.NodeView, controller.DrainForecast, error) {
	v, err := f.Node(ctx, id)
	return v, controller.DrainForecast{Left: 3, Moving: 1, Stay: 2, Room: 1, NoRoom: []controller.NoRoom{{TaskID: "big", ClassName: "Echo", Why: "too big"}}}, err
}

func (f *fake) SetLabels(_ context.Context, id string, labels map[string]*string, replace bool, _ string) (controller.NodeView, error) {
	return f.mark(id, func(v *controller.NodeView) {
		if replace || v.Labels == nil {
			v.Labels = map[string]string{}
		}
		for k, label := range labels {
			if label == nil {
				delete(v.Labels, k)
			} else {
				v.Labels[k] = *label
			}
		}
	})
}

func (f *fake) DeclareLost(_ context.Context, id string, machineOff bool, _ string) (controller.Loss, error) {
	v, err := f.mark(id, func(v *controller.NodeView) { v.Online, v.LostAt = false, 1000 })
	if machineOff {
		return controller.Loss{Node: v, Moved: []string{"a", "keeps"}}, err
	}
	return controller.Loss{Node: v, Moved: []string{"a"}, Kept: []string{"keeps"}, MayRunUntil: 7200}, err
}

func (f *fake) Workers(context.Context) ([]controller.WorkerOnNodes, error) {
	return []controller.WorkerOnNodes{{
		WorkerInfo: skalds.WorkerInfo{Name: "echo", Version: "1.0.0", Digest: "sha256:00", Classes: []skalds.ClassInfo{{ClassName: "Echo", Schema: json.RawMessage(`{"type":"object"}`)}}},
		Nodes:      []string{"node-1"},
	}}, nil
}

func (f *fake) Summary(context.Context) (controller.Summary, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := controller.Summary{Tasks: map[skalds.State]int{}, Nodes: len(f.nodes), Online: 1}
	for _, t := range f.tasks {
		s.Tasks[t.LifecycleStatus]++
	}
	return s, nil
}

func (f *fake) Subscribe(ctx context.Context, after string, begun, reset func(), fn func(string, skalds.Change)) error {
	f.mu.Lock()
	id := f.nextSub
	f.nextSub++
	f.subs[id] = fn
	begun()
	if after != "" {
		n := 0
		if _, err := fmt.Sscan(after, &n); err != nil || n > len(f.changes) {
			reset()
		} else {
			for i := n; i < len(f.changes); i++ {
				fn(fmt.Sprint(i+1), f.changes[i])
			}
		}
	}
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock()
	delete(f.subs, id)
	f.mu.Unlock()
	return nil
}

func (f *fake) subscribers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subs)
}

func (f *fake) Deliver(_ context.Context, id, token string, body io.ReadCloser) error {
	return f.deliver(id, token, body)
}

func (f *fake) Refuse(string, string, string) error { return nil }

func (f *fake) Leader(context.Context) skalds.ControllerInfo {
	return skalds.ControllerInfo{ID: "big-01f3a", URL: "http://10.0.0.5:8000"}
}

func (f *fake) Ready(context.Context) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]string{}
	for k, v := range f.down {
		out[k] = v
	}
	return out
}

// serve starts a server; it ends with the test, and so do its streams.
func serve(t testing.TB, f *fake, change ...func(*api.Config)) *httptest.Server {
	t.Helper()
	cfg := api.Config{Version: "test", Pulse: 20 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	s := httptest.NewServer(api.New(cfg, f, f, f, f, f, dashboard.Handler(), testlog.New(t)))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(a.body, into); err != nil {
		t.Fatalf("answer %d is no JSON: %v\n%s", a.status, err, a.body)
	}
}

func call(t testing.TB, s *httptest.Server, method, path, body string, header ...string) answer {
	t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, rd)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, bytes.TrimSpace(b)}
}

// until waits for a condition that becomes true by itself.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
