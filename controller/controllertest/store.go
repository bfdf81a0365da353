package controllertest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// Store is a controller.Store in memory.
type Store struct {
	mu       sync.Mutex // guards all below
	tasks    map[string]*skalds.Task
	keys     map[string]string
	outcomes map[skalds.OutcomeKey]skalds.Outcome
	order    []skalds.OutcomeKey
	audits   []controller.AuditEntry
	nodes    map[string]skalds.Node
	workers  map[string][]skalds.WorkerInfo
	offsets  map[string]string
	usage    map[string][]skalds.UsageSample
	profiles map[[2]string]controller.StoredProfile
	leader   controller.LeaderLease

	generation int64
	fault      func(op string) error
	watch      func(before, after *skalds.Task)
	onNode     func(before, after skalds.Node)
}

var _ controller.Store = (*Store)(nil)

// NewStore makes an empty one.
func NewStore() *Store {
	return &Store{
		tasks: map[string]*skalds.Task{}, keys: map[string]string{}, outcomes: map[skalds.OutcomeKey]skalds.Outcome{},
		nodes: map[string]skalds.Node{}, workers: map[string][]skalds.WorkerInfo{}, offsets: map[string]string{}, usage: map[string][]skalds.UsageSample{}, profiles: map[[2]string]controller.StoredProfile{},
	}
}

// SetFault has fn asked before every operation; its error is the operation's.
func (s *Store) SetFault(fn func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fn
}

// SetWatch has fn called for every stored change, under the store's lock.
func (s *Store) SetWatch(fn func(before, after *skalds.Task)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch = fn
}

// SetNodeWatch has fn called for every stored node, under the store's lock.
func (s *Store) SetNodeWatch(fn func(before, after skalds.Node)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onNode = fn
}

func (s *Store) enter(ctx context.Context, op string) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.fault != nil {
		if err := s.fault(op); err != nil {
			s.mu.Unlock()
			return nil, err
		}
	}
	return s.mu.Unlock, nil
}

func (s *Store) Create(ctx context.Context, t *skalds.Task) (*skalds.Task, bool, error) {
	leave, err := s.enter(ctx, "create")
	if err != nil {
		return nil, false, err
	}
	defer leave()
	if t.IdempotencyKey != "" {
		if id, used := s.keys[t.IdempotencyKey]; used {
			return s.tasks[id].Clone(), false, nil
		}
	}
	if s.tasks[t.ID] != nil {
		return nil, false, skalds.ErrConflict
	}
	c := t.Clone()
	c.Revision = 1
	s.tasks[t.ID] = c
	if t.IdempotencyKey != "" {
		s.keys[t.IdempotencyKey] = t.ID
	}
	if s.watch != nil {
		s.watch(nil, c)
	}
	return c.Clone(), true, nil
}

func (s *Store) Task(ctx context.Context, id string) (*skalds.Task, error) {
	leave, err := s.enter(ctx, "task")
	if err != nil {
		return nil, err
	}
	defer leave()
	if t := s.tasks[id]; t != nil {
		return t.Clone(), nil
	}
	return nil, skalds.ErrNotFound
}

func (s *Store) Save(ctx context.Context, t *skalds.Task) error {
	leave, err := s.enter(ctx, "save")
	if err != nil {
		return err
	}
	defer leave()
	old := s.tasks[t.ID]
	switch {
	case old == nil:
		return skalds.ErrNotFound
	case old.Revision != t.Revision:
		return skalds.ErrRevision
	}
	t.Revision++
	s.tasks[t.ID] = t.Clone()
	if s.watch != nil {
		s.watch(old, s.tasks[t.ID])
	}
	return nil
}

func (s *Store) list(keep func(*skalds.Task) bool) []*skalds.Task {
	var out []*skalds.Task
	for _, t := range s.tasks {
		if keep(t) {
			out = append(out, t.Clone())
		}
	}
	slices.SortFunc(out, func(a, b *skalds.Task) int {
		if a.CreateDateTime != b.CreateDateTime {
			return int(b.CreateDateTime - a.CreateDateTime)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

func (s *Store) Tasks(ctx context.Context, f controller.TaskFilter) (controller.TaskPage, error) {
	leave, err := s.enter(ctx, "tasks")
	if err != nil {
		return controller.TaskPage{}, err
	}
	defer leave()
	all := s.list(func(t *skalds.Task) bool {
		for k, v := range f.Labels {
			if t.Labels[k] != v {
				return false
			}
		}
		return (len(f.States) == 0 || slices.Contains(f.States, t.LifecycleStatus)) && (f.ClassName == "" || f.ClassName == t.ClassName) &&
			(f.Executor == "" || f.Executor == t.Executor) && (f.Mode == "" || f.Mode == t.Mode) &&
			strings.Contains(strings.ToLower(t.ID), strings.ToLower(f.IDContains))
	})
	page := controller.TaskPage{Total: len(all)}
	from := min(f.Offset, len(all))
	if f.Cursor != "" {
		from = slices.IndexFunc(all, func(t *skalds.Task) bool { return t.ID == f.Cursor }) + 1
	}
	limit := f.Limit
	if limit == 0 {
		limit = 100
	}
	to := min(from+limit, len(all))
	page.Items = all[from:to]
	if to < len(all) {
		page.Next = all[to-1].ID
	}
	return page, nil
}

func (s *Store) Queue(ctx context.Context, limit int) ([]*skalds.Task, error) {
	leave, err := s.enter(ctx, "queue")
	if err != nil {
		return nil, err
	}
	defer leave()
	out := s.list(func(t *skalds.Task) bool { return t.LifecycleStatus == skalds.Created && t.Quarantined == "" })
	slices.SortStableFunc(out, func(a, b *skalds.Task) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		return int(a.CreateDateTime - b.CreateDateTime)
	})
	return out[:min(limit, len(out))], nil
}

func (s *Store) OnNode(ctx context.Context, node string) ([]*skalds.Task, error) {
	leave, err := s.enter(ctx, "onNode")
	if err != nil {
		return nil, err
	}
	defer leave()
	return s.list(func(t *skalds.Task) bool { return t.LifecycleStatus.OnNode() && t.Executor == node }), nil
}

func (s *Store) Placed(ctx context.Context) (map[string][]controller.PlacedTask, error) {
	leave, err := s.enter(ctx, "placed")
	if err != nil {
		return nil, err
	}
	defer leave()
	placed := map[string][]controller.PlacedTask{}
	for _, t := range s.list(func(t *skalds.Task) bool { return t.LifecycleStatus.OnNode() && t.Executor != "" }) {
		placed[t.Executor] = append(placed[t.Executor], controller.PlacedTask{ID: t.ID, State: t.LifecycleStatus})
	}
	return placed, nil
}

func (s *Store) Unacked(ctx context.Context, limit int) ([]*skalds.Task, error) {
	leave, err := s.enter(ctx, "unacked")
	if err != nil {
		return nil, err
	}
	defer leave()
	out := s.list(func(t *skalds.Task) bool { return t.Executor != "" && t.AckedRevision < t.DesiredRevision })
	return out[:min(limit, len(out))], nil
}

func (s *Store) CountByState(ctx context.Context, className string) (map[skalds.State]int, error) {
	leave, err := s.enter(ctx, "count")
	if err != nil {
		return nil, err
	}
	defer leave()
	out := map[skalds.State]int{}
	for _, t := range s.tasks {
		if className == "" || t.ClassName == className {
			out[t.LifecycleStatus]++
		}
	}
	return out, nil
}

func (s *Store) ClassNames(ctx context.Context) ([]string, error) {
	leave, err := s.enter(ctx, "classNames")
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []string
	for _, t := range s.tasks {
		out = append(out, t.ClassName)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (s *Store) Prune(ctx context.Context, before int64, keep int) ([]string, error) {
	leave, err := s.enter(ctx, "prune")
	if err != nil {
		return nil, err
	}
	defer leave()
	final := s.list(func(t *skalds.Task) bool { return t.LifecycleStatus.Final() })
	slices.SortFunc(final, func(a, b *skalds.Task) int { return int(b.EndedAt - a.EndedAt) })
	var removed []string
	for i, t := range final {
		if t.EndedAt < before || i >= keep {
			delete(s.tasks, t.ID)
			delete(s.usage, t.ID)
			removed = append(removed, t.ID)
		}
	}
	return removed, nil
}

func (s *Store) PutOutcome(ctx context.Context, list ...skalds.Outcome) error {
	leave, err := s.enter(ctx, "putOutcome")
	if err != nil {
		return err
	}
	defer leave()
	for _, o := range list {
		old, known := s.outcomes[o.OutcomeKey]
		if !known {
			s.order = append(s.order, o.OutcomeKey)
		}
		if !known || o.Kind == skalds.OutcomeArtifact || old.Exit != nil && old.Exit.EndedAt == 0 {
			s.outcomes[o.OutcomeKey] = o
		}
	}
	return nil
}

func (s *Store) Attempts(ctx context.Context, taskID string) ([]skalds.Attempt, error) {
	leave, err := s.enter(ctx, "attempts")
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []skalds.Attempt
	for _, k := range s.order {
		if o := s.outcomes[k]; k.TaskID == taskID && o.Exit != nil {
			out = append(out, *o.Exit)
		}
	}
	slices.SortStableFunc(out, func(a, b skalds.Attempt) int {
		if a.Epoch != b.Epoch {
			return int(a.Epoch - b.Epoch)
		}
		return a.Attempt - b.Attempt
	})
	return out, nil
}

func (s *Store) Artifacts(ctx context.Context, taskID string, limit int) ([]skalds.Artifact, error) {
	leave, err := s.enter(ctx, "artifacts")
	if err != nil {
		return nil, err
	}
	defer leave()
	type path struct{ node, name string }
	said := map[path]skalds.Outcome{}
	for _, o := range s.outcomes {
		if o.TaskID != taskID || o.Artifact == nil {
			continue
		}
		at := path{o.Artifact.Node, o.Name}
		if was, known := said[at]; !known || o.Epoch > was.Epoch || o.Epoch == was.Epoch && o.Attempt > was.Attempt {
			said[at] = o
		}
	}
	var out []skalds.Artifact
	for _, o := range said {
		out = append(out, *o.Artifact)
	}
	slices.SortFunc(out, func(a, b skalds.Artifact) int {
		return cmp.Or(cmp.Compare(b.StartedAt, a.StartedAt), cmp.Compare(b.Epoch, a.Epoch), cmp.Compare(a.Path, b.Path))
	})
	return out[:min(len(out), limit)], nil
}

func (s *Store) Audit(ctx context.Context, e controller.AuditEntry) error {
	leave, err := s.enter(ctx, "audit")
	if err != nil {
		return err
	}
	defer leave()
	s.audits = append(s.audits, e)
	return nil
}

func (s *Store) Audits(ctx context.Context, taskID string, limit int) ([]controller.AuditEntry, error) {
	leave, err := s.enter(ctx, "audits")
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []controller.AuditEntry
	for _, e := range s.audits {
		if e.TaskID == taskID && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (s *Store) SaveNode(ctx context.Context, n skalds.Node) error {
	leave, err := s.enter(ctx, "saveNode")
	if err != nil {
		return err
	}
	defer leave()
	if s.nodes[n.ID].Revision != n.Revision {
		return skalds.ErrRevision
	}
	n.Revision++
	if s.onNode != nil {
		s.onNode(s.nodes[n.ID], n)
	}
	s.nodes[n.ID] = n
	return nil
}

func (s *Store) DeleteNode(ctx context.Context, id string, revision int64) error {
	leave, err := s.enter(ctx, "deleteNode")
	if err != nil {
		return err
	}
	defer leave()
	if n, there := s.nodes[id]; there && n.Revision != revision {
		return skalds.ErrRevision
	}
	delete(s.nodes, id)
	delete(s.workers, id)
	return nil
}

func (s *Store) Nodes(ctx context.Context) ([]skalds.Node, error) {
	leave, err := s.enter(ctx, "nodes")
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []skalds.Node
	for _, n := range s.nodes {
		out = append(out, n)
	}
	return out, nil
}

func (s *Store) SaveWorkers(ctx context.Context, nodeID string, workers []skalds.WorkerInfo) error {
	leave, err := s.enter(ctx, "saveWorkers")
	if err != nil {
		return err
	}
	defer leave()
	s.workers[nodeID] = workers
	return nil
}

func (s *Store) Workers(ctx context.Context) ([]controller.WorkerOnNodes, error) {
	leave, err := s.enter(ctx, "workers")
	if err != nil {
		return nil, err
	}
	defer leave()
	byRef := map[string]*controller.WorkerOnNodes{}
	var refs []string
	for node, list := range s.workers {
		for _, w := range list {
			key := w.Ref() + "@" + w.Digest
			if byRef[key] == nil {
				byRef[key] = &controller.WorkerOnNodes{WorkerInfo: w}
				refs = append(refs, key)
			}
			byRef[key].Nodes = append(byRef[key].Nodes, node)
		}
	}
	slices.Sort(refs)
	out := make([]controller.WorkerOnNodes, len(refs))
	for i, r := range refs {
		out[i] = *byRef[r]
		slices.Sort(out[i].Nodes)
	}
	return out, nil
}

func (s *Store) Generation(ctx context.Context) (int64, error) {
	leave, err := s.enter(ctx, "generation")
	if err != nil {
		return 0, err
	}
	defer leave()
	return max(s.generation, 1), nil
}

// Restored is what a store holds into which a backup was put that is made now: another generation, no offsets, and later epochs for
// what is on no node.
func (s *Store) Restored() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := NewStore()
	out.generation = max(s.generation, 1) + 1001
	for id, t := range s.tasks {
		t = t.Clone()
		if t.Executor == "" || !t.LifecycleStatus.OnNode() {
			t.Epoch += 1000
		}
		out.tasks[id] = t
	}
	out.keys, out.outcomes, out.workers = maps.Clone(s.keys), maps.Clone(s.outcomes), maps.Clone(s.workers)
	out.order, out.nodes = slices.Clone(s.order), maps.Clone(s.nodes)
	return out
}

func (s *Store) SaveOffset(ctx context.Context, stream, offset string) error {
	leave, err := s.enter(ctx, "saveOffset")
	if err != nil {
		return err
	}
	defer leave()
	s.offsets[stream] = offset
	return nil
}

func (s *Store) Offset(ctx context.Context, stream string) (string, error) {
	leave, err := s.enter(ctx, "offset")
	if err != nil {
		return "", err
	}
	defer leave()
	return s.offsets[stream], nil
}

func (s *Store) PutUsage(ctx context.Context, pieces []controller.TaskUsage) error {
	leave, err := s.enter(ctx, "putUsage")
	if err != nil {
		return err
	}
	defer leave()
	for _, p := range pieces {
		list := append(s.usage[p.TaskID], p.Samples...)
		slices.SortStableFunc(list, func(a, b skalds.UsageSample) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(b.Span, a.Span)) })
		s.usage[p.TaskID] = slices.CompactFunc(list, func(a, b skalds.UsageSample) bool { return a.At == b.At && a.Span == b.Span })
	}
	return nil
}

func (s *Store) Usage(ctx context.Context, taskID string) ([]skalds.UsageSample, error) {
	leave, err := s.enter(ctx, "usage")
	if err != nil {
		return nil, err
	}
	defer leave()
	return slices.Clone(s.usage[taskID]), nil
}

func (s *Store) PruneUsage(ctx context.Context, before int64) error {
	leave, err := s.enter(ctx, "pruneUsage")
	if err != nil {
		return err
	}
	defer leave()
	before -= before % 3_600_000
	for id, list := range s.usage {
		s.usage[id] = slices.DeleteFunc(list, func(u skalds.UsageSample) bool { return u.At < before })
	}
	return nil
}

func (s *Store) SaveProfiles(ctx context.Context, profiles []controller.StoredProfile) error {
	leave, err := s.enter(ctx, "saveProfiles")
	if err != nil {
		return err
	}
	defer leave()
	for _, p := range profiles {
		s.profiles[[2]string{p.ClassName, p.Worker}] = p
	}
	return nil
}

func (s *Store) Profiles(ctx context.Context) ([]controller.StoredProfile, error) {
	leave, err := s.enter(ctx, "profiles")
	if err != nil {
		return nil, err
	}
	defer leave()
	out := []controller.StoredProfile{}
	for _, p := range s.profiles {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b controller.StoredProfile) int {
		return cmp.Or(cmp.Compare(a.ClassName, b.ClassName), cmp.Compare(a.Worker, b.Worker))
	})
	return out, nil
}

func (s *Store) PruneProfiles(ctx context.Context, before int64) error {
	leave, err := s.enter(ctx, "pruneProfiles")
	if err != nil {
		return err
	}
	defer leave()
	for key, p := range s.profiles {
		if p.UpdatedAt < before {
			delete(s.profiles, key)
		}
	}
	return nil
}

func (s *Store) Ping(ctx context.Context) error {
	leave, err := s.enter(ctx, "ping")
	if err != nil {
		return err
	}
	leave()
	return nil
}

func (s *Store) Close() error { return nil }

// All lists every task, for assertions.
func (s *Store) All() []*skalds.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(func(*skalds.Task) bool { return true })
}

// ErrDown is a handy fault.
var ErrDown = errors.New("the store is down")
