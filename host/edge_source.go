package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

// Bounds of the watch over the workers file.
const (
	fileSettles = 150 * time.Millisecond // editors write in several steps
	filePoll    = 5 * time.Second        // a net under the system's notifications
)

// edgeSource runs the tasks of a YAML file: at once, whether or not a controller can be reached. Its state belongs to the
// goroutine of Run; everything that others tell it is queued.
type edgeSource struct {
	cfg      Config
	path     string
	nodeID   string
	journal  *journal
	reporter *reporter
	roster   *roster
	log      hclog.Logger

	wake chan struct{}

	mu       sync.Mutex // guards what follows, up to the blank line
	queue    []func()
	ids      map[string]bool
	entries  map[string]conf.WorkerEntry // that can be used, as last read
	problems []skalds.NodeProblem

	// All below belongs to Run.
	tasks    map[string]*edgeTask
	removed  map[string]int64 // epoch of entries that are gone, until a controller has heard of it
	higher   map[string]int64 // the store's highest epochs, as told
	online   bool             // a controller has answered
	lastStat string
	lastText string // the last complaint about the whole file
	complain map[string]string
	loaded   bool
}

// edgeTask is one entry.
type edgeTask struct {
	spec     skalds.Spec // as the file has it
	epoch    int64
	retry    bool // the controller must be told that it runs again after its end
	revision int64
	gen      int64
	desired  skalds.Desired
	foreign  string // the node that owns it, if not this one
}

func newEdgeSource(cfg Config, nodeID string, j *journal, r *reporter, ro *roster, log hclog.Logger) *edgeSource {
	return &edgeSource{
		cfg: cfg, path: cfg.WorkersFile, nodeID: nodeID, journal: j, reporter: r, roster: ro, log: log.With("file", cfg.WorkersFile),
		wake: make(chan struct{}, 1), ids: map[string]bool{},
		tasks: map[string]*edgeTask{}, removed: map[string]int64{}, higher: map[string]int64{}, complain: map[string]string{},
	}
}

// do queues work for the goroutine of Run.
func (e *edgeSource) do(fn func()) {
	e.mu.Lock()
	e.queue = append(e.queue, fn)
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run reads the file, starts its tasks, and follows its changes until ctx ends.
func (e *edgeSource) Run(ctx context.Context) error {
	e.reload()
	events, closeWatch := e.watch()
	defer closeWatch()
	poll := time.NewTicker(filePoll)
	defer poll.Stop()
	settle := time.NewTimer(time.Hour)
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
			e.mu.Lock()
			queue := e.queue
			e.queue = nil
			e.mu.Unlock()
			for _, fn := range queue {
				fn()
			}
		case ev, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if filepath.Base(ev.Name) == filepath.Base(e.path) && ev.Op != fsnotify.Chmod {
				settle.Reset(fileSettles)
			}
		case <-settle.C:
			e.reload()
		case <-poll.C:
			if fileStamp(e.path) != e.lastStat {
				e.reload()
			}
		}
	}
}

// watch follows the folder of the file: editors replace files by renaming.
func (e *edgeSource) watch() (<-chan fsnotify.Event, func()) {
	w, err := fsnotify.NewWatcher()
	if err == nil {
		if err = w.Add(filepath.Dir(e.path)); err == nil {
			return w.Events, func() { _ = w.Close() }
		}
		_ = w.Close()
	}
	e.log.Warn("the file's folder cannot be watched: changes are seen within seconds", "err", err)
	return nil, func() {}
}

// fileStamp tells one version of a file from another without reading it.
func fileStamp(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return "none"
	}
	return fmt.Sprint(st.ModTime().UnixNano(), st.Size())
}

// reload reads the file and carries out what has changed. A file that cannot be used changes nothing.
func (e *edgeSource) reload() {
	e.lastStat = fileStamp(e.path)
	file, err := conf.LoadWorkers(e.path)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: put it there, it is read at once", err)
	}
	if err != nil {
		e.complainOnce("the workers file cannot be used, nothing is changed", err)
		return
	}
	if len(file.Entries) == 0 && e.hasHadEntries() {
		e.complainOnce("the workers file cannot be used, nothing is changed",
			&conf.Fault{Path: e.path, Message: "names no task any more: to end its tasks, cancel them, or remove them one by one"})
		return
	}
	if len(file.Entries) == 0 && !e.loaded {
		e.log.Warn("the workers file names no task: put some under TaskWorkers")
	}
	e.lastText = ""
	e.adopt(file)
	var specs []skalds.Spec
	broken := map[string]bool{}
	for _, entry := range file.Entries {
		if entry.Err != nil {
			broken[entry.Spec.ID] = true
			if text := entry.Err.Error(); e.complain[entry.Spec.ID] != text {
				e.complain[entry.Spec.ID] = text
				e.log.Error("an entry of the workers file cannot be used, the others run", "line", entry.Line, "task_id", entry.Spec.ID, "err", entry.Err)
			}
			continue
		}
		delete(e.complain, entry.Spec.ID)
		entry.Spec.Mode = skalds.ModeActive
		specs = append(specs, entry.Spec.WithDefaults(e.cfg.WorkerRetry))
	}
	if !e.loaded {
		e.loaded = true
		e.forgetMissing(specs, broken)
	}
	known := make(map[string]skalds.Spec, len(e.tasks))
	for id, t := range e.tasks {
		known[id] = t.spec
	}
	steps := planEdge(known, specs, broken)
	for _, s := range steps {
		e.carryOut(s)
	}
	if len(steps) > 0 {
		e.log.Info("workers file read", "tasks", len(specs), "changes", len(steps))
	}
}

// hasHadEntries reports whether the file has named tasks that nobody has taken out of it since, also before this start.
func (e *edgeSource) hasHadEntries() (had bool) {
	e.journal.read(func(s *journalState) {
		for _, rec := range s.edges {
			had = had || rec.Removed == 0
		}
	})
	return had || len(e.tasks) > 0
}

// complainOnce says what is wrong with the file as a whole, once as long as it stays so.
func (e *edgeSource) complainOnce(what string, err error) {
	text := err.Error()
	if e.lastText == text {
		return
	}
	e.lastText = text
	e.log.Error(what, "err", err)
	e.mu.Lock()
	e.problems = problemsOf(e.path, err)
	e.mu.Unlock()
}

// forgetMissing notes, at the first reading, which entries have been removed while the host was away.
func (e *edgeSource) forgetMissing(specs []skalds.Spec, broken map[string]bool) {
	present := map[string]bool{}
	for _, s := range specs {
		present[s.ID] = true
	}
	var gone []edgeRecord
	e.journal.read(func(s *journalState) {
		for id, rec := range s.edges {
			if !present[id] && !broken[id] && !rec.Told {
				gone = append(gone, rec)
			}
		}
	})
	for _, rec := range gone {
		e.takeOut(rec.TaskID, rec.Epoch)
		e.announceRemoved(rec.TaskID) // a file that could not be used at first is read for the first time when all is online
	}
}

// takeOut remembers that an entry stands in the file no more.
func (e *edgeSource) takeOut(id string, epoch int64) {
	e.removed[id] = epoch
	e.journal.changeEdge(id, func(rec *edgeRecord) bool {
		if rec.Removed > 0 {
			return false
		}
		rec.Epoch, rec.State, rec.Removed, rec.Told = epoch, skalds.Cancelled, time.Now().UnixMilli(), false
		return true
	})
}

// carryOut does one step of a plan.
func (e *edgeSource) carryOut(s edgeStep) {
	switch s.change {
	case edgeRemoved:
		e.log.Info("entry removed: its task is cancelled", "task_id", s.id)
		t := e.tasks[s.id]
		e.forget(s.id)
		e.takeOut(s.id, t.epoch)
		e.roster.assign(skalds.Command{TaskID: s.id, Epoch: t.epoch, Generation: t.gen, Desired: skalds.DesiredGone, Reason: string(skalds.ExitCancelled)}, fromFile)
		e.announceRemoved(s.id)
	case edgeAdded:
		e.add(s.spec)
	case edgeUpdated:
		t := e.tasks[s.id]
		t.spec = s.spec
		if !e.roster.active(s.id) {
			e.again(t, "entry changed", true)
			return
		}
		e.log.Info("entry changed: its attachments are handed to the running worker", "task_id", s.id)
		e.remember(t, skalds.Running)
		e.put(t)
		e.announce(t)
	case edgeAltered:
		t := e.tasks[s.id]
		other := otherWork(t.spec, s.spec)
		t.spec = s.spec
		e.again(t, "entry changed", other)
	}
}

// add takes in an entry that was not there before, and runs it unless it has come to its end earlier.
func (e *edgeSource) add(spec skalds.Spec) {
	rec, known := e.journal.edge(spec.ID)
	t := &edgeTask{spec: spec, desired: skalds.DesiredRunning, epoch: rec.Epoch}
	e.tasks[spec.ID] = t
	e.mu.Lock()
	e.ids[spec.ID] = true
	e.mu.Unlock()
	run, retry := edgeStart(rec, known, e.effective(t))
	t.retry = rec.Retry // no controller has heard of it
	if rec.Removed > 0 {
		run, retry = true, true // put back
		delete(e.removed, spec.ID)
		e.journal.changeEdge(spec.ID, func(rec *edgeRecord) bool {
			rec.Removed, rec.Told = 0, false
			return true
		})
	}
	if !run {
		e.log.Info("not run again: it has ended and is not persistent, or was cancelled; change the entry to run it", "task_id", spec.ID, "state", rec.State)
		e.announce(t)
		return
	}
	t.retry = t.retry || retry
	e.hand(t, retry || rec.State.Final(), false)
}

// otherWork reports whether an entry asks for other work than before, so that finished stages say nothing about it.
func otherWork(was, now skalds.Spec) bool {
	return was.ClassName != now.ClassName || skalds.ContentHash(was.Attachments) != skalds.ContentHash(now.Attachments)
}

// again runs a task anew under a new epoch, from its beginning where fresh.
func (e *edgeSource) again(t *edgeTask, why string, fresh bool) {
	e.log.Info(why+": the task is run anew", "task_id", t.spec.ID)
	ended := !e.roster.active(t.spec.ID)
	t.retry, t.desired = t.retry || ended, skalds.DesiredRunning
	e.hand(t, ended || fresh, true)
}

// hand gives a task out anew: a new epoch, durable before anything is started. Fresh begins at the beginning; an entry that was
// changed keeps its finished stages, but not the memory limit that an earlier one has led to.
func (e *edgeSource) hand(t *edgeTask, fresh, changed bool) {
	id := t.spec.ID
	rec, _ := e.journal.edge(id)
	m, _ := e.journal.mark(id)
	t.epoch = max(t.epoch, rec.Epoch, m.Epoch, e.higher[id]) + 1
	e.remember(t, skalds.Running, func(rec *edgeRecord) {
		rec.Retry = t.retry
		if fresh {
			rec.Stages = nil
		}
		if fresh || changed {
			rec.MemoryFailures, rec.MemoryLimit = 0, 0
		}
	})
	if err := e.journal.sync(); err != nil {
		e.log.Warn("the new epoch of a task is not durable", "task_id", id, "epoch", t.epoch, "err", err)
	}
	e.announce(t)
	e.put(t)
}

// put brings the wish for a task to its runner.
func (e *edgeSource) put(t *edgeTask) {
	if t.foreign != "" {
		return
	}
	spec := e.effective(t)
	rec, _ := e.journal.edge(spec.ID)
	e.roster.assign(skalds.Command{
		TaskID: spec.ID, Generation: t.gen, Epoch: t.epoch, DesiredRevision: t.revision, Desired: t.desired, Spec: &spec, Stages: rec.Stages,
		MemoryFailures: rec.MemoryFailures, MemoryLimit: rec.MemoryLimit,
	}, fromFile)
}

// effective is the entry as it is run: with the store's attachments where the file could not be written.
func (e *edgeSource) effective(t *edgeTask) skalds.Spec {
	spec := t.spec
	if rec, ok := e.journal.edge(spec.ID); ok && rec.Overlay != nil && rec.FileHash == skalds.ContentHash(spec.Attachments) {
		spec.Attachments = rec.Overlay
	}
	return spec
}

// remember keeps what must outlive the host, and what more there is to change about it.
func (e *edgeSource) remember(t *edgeTask, state skalds.State, more ...func(*edgeRecord)) {
	hash := entryHash(e.effective(t))
	e.journal.changeEdge(t.spec.ID, func(rec *edgeRecord) bool {
		rec.Epoch, rec.State, rec.EntryHash = t.epoch, state, hash
		if !state.Final() {
			rec.Exit = nil
		}
		for _, change := range more {
			change(rec)
		}
		return true
	})
}

func (e *edgeSource) forget(id string) {
	delete(e.tasks, id)
	e.mu.Lock()
	delete(e.ids, id)
	e.mu.Unlock()
}

// ended hears from a runner that its task has come to an end.
func (e *edgeSource) ended(taskID string, epoch int64, state skalds.State, exit *skalds.Exit) {
	if !state.Final() {
		return
	}
	e.do(func() {
		t := e.tasks[taskID]
		if t == nil || t.epoch != epoch {
			return
		}
		e.remember(t, state, func(rec *edgeRecord) {
			if exit != nil {
				short := *exit
				short.Stack = ""
				rec.Exit = &short
			}
		})
	})
}
