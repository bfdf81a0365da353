package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// compactAt is the size beyond which a journal that has doubled since is written anew.
const compactAt = 1 << 20

// tellEvery is the shortest time between two words about a journal that cannot be written, or outcomes that were given up.
const tellEvery = time.Minute

// journal keeps on disk what no controller knows yet and what must outlive the host: its incarnation, the highest command
// per task, open outcomes and final reports, and the edge records. Appends are ordered; Sync makes everything appended so
// far durable, sharing one fsync among all who wait.
//
// A disk that takes nothing more does not stop the host: the state stays complete in memory, and the file is written anew
// as soon as there is room.
type journal struct {
	path   string
	log    hclog.Logger
	former int64 // incarnation of the last start; 0: there was none

	mu      sync.Mutex // guards all below
	cond    *sync.Cond
	file    *os.File
	state   *journalState
	size    int64
	base    int64 // size after the last compaction
	written int64 // counts appends
	synced  int64 // the append up to which everything is durable
	syncing bool
	failed  error     // the last write failed: the file lacks something
	retryAt time.Time // when to try a failed file again
	told    bool      // we have said so
	toldAt  time.Time // when we last did
	lostAt  time.Time // when we last told how many outcomes were given up
	closed  bool
}

// openJournal opens or creates the journal in dir and raises the incarnation: to the time, so that hosts with journals of
// their own, or with copies of one, do not have the same when they are given the same id. It fails where another host uses
// the folder.
func openJournal(dir string, log hclog.Logger) (*journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	path := filepath.Join(dir, "journal")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{path: path, log: log, file: f, state: newJournalState()}
	j.cond = sync.NewCond(&j.mu)
	if err := j.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	j.former = j.state.meta.Incarnation
	j.state.meta.Incarnation = max(j.former+1, time.Now().UnixMilli())
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.compact(); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), j.file.Close())
	}
	return j, nil
}

// load reads the file into the state and cuts off a torn tail; the part cut off is kept beside it.
func (j *journal) load() error {
	good, err := readJournal(j.file, j.state.apply)
	if err != nil && !errors.Is(err, errTorn) {
		return fmt.Errorf("%s: %w: move it away to start with an empty one", j.path, err)
	}
	if err != nil {
		damaged := j.path + ".damaged"
		n, copyErr := keepTail(j.file, good, damaged)
		j.log.Warn("the journal ends in a torn record, as after a power cut: the rest is dropped", "path", j.path, "dropped_bytes", n, "kept_in", damaged, "err", copyErr)
	}
	j.size = good
	j.state.open.takeLost() // told by the host that wrote the file
	return nil
}

// sayLost tells, now and then, how many outcomes were given up. The mutex is held.
func (j *journal) sayLost(now time.Time) {
	if now.Sub(j.lostAt) < tellEvery {
		return
	}
	if n := j.state.open.takeLost(); n > 0 {
		j.lostAt = now
		j.log.Warn("too much waits for a controller: the older ends and artifacts are given up", "dropped", n, "waiting", len(j.state.open.byKey))
	}
}

func keepTail(f *os.File, from int64, path string) (int64, error) {
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return 0, err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, f)
	return n, errors.Join(err, out.Close())
}

// add appends records and applies them to the state. It does not wait for the disk: see sync.
func (j *journal) add(rs ...record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.addLocked(rs...)
}

func (j *journal) addLocked(rs ...record) {
	var buf []byte
	for _, r := range rs {
		j.state.apply(r)
		buf = j.append(buf, r)
	}
	j.sayLost(time.Now())
	j.written++
	if j.closed || len(buf) == 0 {
		return
	}
	if j.failed != nil {
		j.repair()
		return
	}
	if _, err := j.file.WriteAt(buf, j.size); err != nil {
		j.fail(errors.Join(err, j.file.Truncate(j.size)))
		return
	}
	j.size += int64(len(buf))
	if j.size > compactAt && j.size > 2*j.base && !j.syncing {
		if err := j.compact(); err != nil {
			j.log.Warn("cannot compact the journal", "path", j.path, "err", err)
			j.base = j.size // try again when it has doubled
		}
	}
}

// append adds a record to what is to be written. One that cannot be encoded is left out, or kept without what it can do
// without: it must not keep all others from the disk.
func (j *journal) append(buf []byte, r record) []byte {
	b, err := appendRecord(buf, r)
	if err == nil {
		return b
	}
	if r.Edge != nil {
		lean := *r.Edge
		lean.Stages, lean.Exit = nil, nil
		if b, leanErr := appendRecord(buf, record{Edge: &lean}); leanErr == nil {
			j.log.Error("a record of the journal is too large: the finished stages of its task are not kept", "task_id", lean.TaskID, "err", err)
			return b
		}
	}
	j.log.Error("a record cannot be written to the journal and is left out", "err", err)
	return buf
}

// fail remembers that the file lacks something, and says so once. A disk that is almost full takes a journal written anew,
// and not the next record: that is not told at each turn. The mutex is held.
func (j *journal) fail(err error) {
	now := time.Now()
	if !j.told && now.Sub(j.toldAt) >= tellEvery {
		j.log.Error("cannot write the journal: outcomes stay in memory until the disk takes them", "path", j.path, "err", err)
		j.told, j.toldAt = true, now
	}
	j.failed, j.retryAt = err, now.Add(time.Second)
}

// repair writes a file that lacks something anew. The mutex is held.
func (j *journal) repair() {
	if j.syncing || time.Now().Before(j.retryAt) {
		return
	}
	if err := j.compact(); err != nil {
		j.fail(err)
		return
	}
	j.failed = nil
	if j.told {
		j.log.Info("the journal can be written again", "path", j.path)
	}
	j.told = false
}

// sync returns when everything added before is durable.
func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	target := j.written
	for j.synced < target {
		if j.failed != nil {
			if j.repair(); j.failed != nil {
				return fmt.Errorf("write journal: %w", j.failed)
			}
			continue
		}
		if j.closed {
			return errors.New("write journal: it is closed")
		}
		if j.syncing {
			j.cond.Wait()
			continue
		}
		j.syncing = true
		upTo, f := j.written, j.file
		j.mu.Unlock()
		err := syncData(f)
		j.mu.Lock()
		j.syncing = false
		j.cond.Broadcast()
		if err != nil {
			j.fail(err)
			continue
		}
		j.synced = max(j.synced, upTo)
	}
	return nil
}

// compact writes the state into a new file and puts it in place of the old one, durably. The mutex is held.
func (j *journal) compact() error {
	j.state.prune(time.Now())
	buf := []byte(journalMagic)
	for _, r := range j.state.records() {
		buf = j.append(buf, r)
	}
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(buf); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, j.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(j.path))
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	old := j.file
	j.file, j.size, j.base, j.synced = f, int64(len(buf)), int64(len(buf)), j.written
	return old.Close()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close makes everything durable and closes the file.
func (j *journal) Close() error {
	err := j.sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	return errors.Join(err, j.file.Close())
}

// read calls fn with the state, which fn must not keep.
func (j *journal) read(fn func(*journalState)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fn(j.state)
}

func (j *journal) incarnation() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.meta.Incarnation
}

// raiseGeneration remembers the highest generation of the store that was seen.
func (j *journal) raiseGeneration(g int64) {
	var meta metaRecord
	j.read(func(s *journalState) { meta = s.meta })
	if g > meta.Generation {
		meta.Generation = g
		j.add(record{Meta: &meta})
	}
}

func (j *journal) mark(taskID string) (m mark, ok bool) {
	j.read(func(s *journalState) { m, ok = s.marks[taskID] })
	return m, ok
}

func (j *journal) edge(taskID string) (e edgeRecord, ok bool) {
	j.read(func(s *journalState) { e, ok = s.edges[taskID] })
	return e, ok
}

// changeEdge reads, changes and writes an edge record in one step: a task's runner and the source of its entry both do. It
// is made where there is none; change returns false to leave everything as it was.
func (j *journal) changeEdge(taskID string, change func(e *edgeRecord) bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.state.edges[taskID]
	e.TaskID = taskID
	if change(&e) {
		j.addLocked(record{Edge: &e})
	}
}

// hasFinal reports whether the end of an assignment waits for a controller.
func (j *journal) hasFinal(taskID string, epoch int64) (has bool) {
	j.read(func(s *journalState) {
		f, ok := s.finals[taskID]
		has = ok && f.Epoch == epoch
	})
	return has
}

// sent notes that an outcome is being sent; acked forgets it once every sending has been answered.
func (j *journal) sent(key skalds.OutcomeKey, at time.Time) {
	j.read(func(s *journalState) {
		if o, ok := s.open.byKey[key]; ok {
			o.unacked++
			o.sentAt = at
		}
	})
}

// notSent takes back a sent: the outcome was left out.
func (j *journal) notSent(key skalds.OutcomeKey) {
	j.read(func(s *journalState) {
		if o, ok := s.open.byKey[key]; ok {
			o.unacked--
		}
	})
}

func (j *journal) acked(keys []skalds.OutcomeKey) {
	var rs []record
	j.read(func(s *journalState) {
		for _, k := range keys {
			o, ok := s.open.byKey[k]
			if !ok {
				continue
			}
			if o.unacked--; o.unacked <= 0 {
				rs = append(rs, record{Acked: &k})
			}
		}
	})
	if len(rs) > 0 {
		j.add(rs...)
	}
}

// unsent lists all open outcomes and counts them as not sent: they are about to be sent anew.
func (j *journal) unsent() (out []skalds.Outcome) {
	j.read(func(s *journalState) {
		for _, o := range s.open.byKey {
			o.unacked = 0
		}
		out = s.open.list()
	})
	return out
}

// stale lists the open outcomes last sent before the time, and counts them as not sent.
func (j *journal) stale(before time.Time) (out []skalds.Outcome) {
	j.read(func(s *journalState) {
		for _, o := range s.open.list() {
			if e := s.open.byKey[o.OutcomeKey]; e.sentAt.Before(before) {
				e.unacked = 0
				out = append(out, o)
			}
		}
	})
	return out
}
