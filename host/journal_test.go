package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

func openTestJournal(t *testing.T, dir string) *journal {
	t.Helper()
	j, err := openJournal(dir, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func exitOutcome(task string, epoch int64, attempt int) skalds.Outcome {
	return skalds.Outcome{
		OutcomeKey: skalds.OutcomeKey{TaskID: task, Epoch: epoch, Attempt: attempt, Kind: skalds.OutcomeExit},
		Exit:       &skalds.Attempt{TaskID: task, Epoch: epoch, Attempt: attempt, Exit: &skalds.Exit{Kind: skalds.ExitCompleted}},
	}
}

func TestJournalOutlivesItsHost(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	first := j.incarnation()
	if before, now := time.Now().Add(-time.Hour).UnixMilli(), time.Now().UnixMilli(); first < before || first > now || j.former != 0 {
		t.Fatalf("first incarnation is %d, the former %d", first, j.former)
	}
	a, b := exitOutcome("a", 3, 1), exitOutcome("b", 1, 1)
	j.add(
		record{Mark: &mark{TaskID: "a", Epoch: 3, DesiredRevision: 2, Desired: skalds.DesiredRunning, At: time.Now().UnixMilli()}},
		record{Final: &skalds.Report{TaskID: "a", Epoch: 3, Attempt: 1, State: skalds.Finished}},
		record{Open: &a}, record{Open: &b},
		record{Edge: &edgeRecord{TaskID: "cam", Epoch: 7, State: skalds.Running}},
	)
	j.sent(b.OutcomeKey, time.Now())
	j.acked([]skalds.OutcomeKey{b.OutcomeKey})
	// No Close: the host was killed.
	if err := j.sync(); err != nil {
		t.Fatal(err)
	}

	j = openTestJournal(t, dir)
	if got := j.incarnation(); got <= first || j.former != first {
		t.Errorf("second incarnation is %d, the former %d, the first was %d", got, j.former, first)
	}
	if m, ok := j.mark("a"); !ok || m.Epoch != 3 || m.DesiredRevision != 2 {
		t.Errorf("mark: %+v %v", m, ok)
	}
	if e, ok := j.edge("cam"); !ok || e.Epoch != 7 {
		t.Errorf("edge: %+v %v", e, ok)
	}
	if d := cmp.Diff([]skalds.Outcome{a}, j.unsent()); d != "" {
		t.Error(d)
	}
	j.sent(a.OutcomeKey, time.Now())
	j.acked([]skalds.OutcomeKey{a.OutcomeKey})
	j.read(func(s *journalState) {
		if len(s.open.byKey) != 0 || len(s.finals) != 0 {
			t.Errorf("left: %v %v", s.open.byKey, s.finals)
		}
	})
}

func TestJournalKeepsAReplacedOutcomeUntilItsLastVersionIsAcknowledged(t *testing.T) {
	j := openTestJournal(t, t.TempDir())
	o := skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: "a", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeArtifact, Name: "x.mp4"}}
	j.add(record{Open: &o})
	j.sent(o.OutcomeKey, time.Now())
	closed := o
	closed.Artifact = &skalds.Artifact{Path: "x.mp4", EndedAt: 5}
	j.add(record{Open: &closed})
	j.sent(o.OutcomeKey, time.Now())
	j.acked([]skalds.OutcomeKey{o.OutcomeKey})
	if len(j.unsent()) != 1 {
		t.Fatal("the answer to the first version forgot the second")
	}
	j.sent(o.OutcomeKey, time.Now())
	j.acked([]skalds.OutcomeKey{o.OutcomeKey})
	if len(j.unsent()) != 0 {
		t.Fatal("acknowledged, and still open")
	}
}

func TestJournalDropsATornTail(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	for i := range 5 {
		o := exitOutcome(fmt.Sprintf("task%d", i), 1, 1)
		j.add(record{Open: &o})
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 7, 9, 40} {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j := openTestJournal(t, dir)
		if got := len(j.unsent()); got != 4 {
			t.Errorf("cut by %d bytes: %d outcomes left, want 4", cut, got)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a foreign file is refused", func(t *testing.T) {
		if err := os.WriteFile(path, []byte("hello, world"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openJournal(dir, hclog.NewNullLogger()); err == nil {
			t.Error("opened")
		}
	})
}

func TestJournalCompactsAndShrinks(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	for i := range 3000 {
		o := exitOutcome("a", 1, i)
		o.Exit.LogTail = string(bytes.Repeat([]byte("x"), 1000))
		j.add(record{Open: &o})
		j.sent(o.OutcomeKey, time.Now())
		j.acked([]skalds.OutcomeKey{o.OutcomeKey})
	}
	st, err := os.Stat(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > 2*compactAt {
		t.Errorf("%d bytes after 3000 acknowledged outcomes", st.Size())
	}
}

func TestJournalLeavesOutWhatCannotBeEncoded(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	odd, right := exitOutcome("odd", 1, 1), exitOutcome("right", 1, 1)
	odd.Artifact = &skalds.Artifact{Path: "x", Meta: []byte("no JSON")}
	stages := map[string]json.RawMessage{"s": []byte(`"` + strings.Repeat("x", maxRecordBytes) + `"`)}
	j.add(record{Open: &odd}, record{Open: &right}, record{Edge: &edgeRecord{TaskID: "cam", Epoch: 7, Stages: stages}})
	j.mu.Lock()
	j.failed = errors.New("the disk was full") // repaired by writing the file anew
	j.mu.Unlock()
	if err := j.sync(); err != nil {
		t.Fatal(err)
	}
	// No Close: the host was killed.
	j = openTestJournal(t, dir)
	if d := cmp.Diff([]skalds.Outcome{right}, j.unsent()); d != "" {
		t.Error(d)
	}
	if e, ok := j.edge("cam"); !ok || e.Epoch != 7 || e.Stages != nil {
		t.Errorf("edge: epoch %d, %d stages, %v", e.Epoch, len(e.Stages), ok)
	}
}

func TestEdgeRecordsLoseNoUpdate(t *testing.T) {
	j := openTestJournal(t, t.TempDir())
	const writers, n = 4, 1000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range n {
				j.changeEdge("cam", func(e *edgeRecord) bool { e.Epoch++; return true })
			}
		})
	}
	wg.Wait()
	if rec, _ := j.edge("cam"); rec.Epoch != writers*n {
		t.Errorf("%d of %d changes are left", rec.Epoch, writers*n)
	}

	t.Run("stages of an assignment that was handed out anew are not kept", func(t *testing.T) {
		r := &taskRunner{taskID: "cam", origin: fromFile, deps: &runnerDeps{journal: j}, stages: map[string]json.RawMessage{"s": []byte("1")}}
		r.cmd.Epoch = writers * n
		r.keepForRestart()
		if rec, _ := j.edge("cam"); string(rec.Stages["s"]) != "1" {
			t.Errorf("stages %s", rec.Stages)
		}
		j.changeEdge("cam", func(e *edgeRecord) bool { e.Epoch++; e.Stages = nil; return true })
		r.keepForRestart()
		if rec, _ := j.edge("cam"); rec.Stages != nil || rec.Epoch != writers*n+1 {
			t.Errorf("epoch %d, stages %s", rec.Epoch, rec.Stages)
		}
	})
}

func TestJournalSharesOneSyncAmongMany(t *testing.T) {
	j := openTestJournal(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			o := exitOutcome("a", 1, i)
			j.add(record{Open: &o})
			if err := j.sync(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(j.unsent()); got != 32 {
		t.Errorf("%d of 32 outcomes", got)
	}
}

func TestJournalForgetsTombstones(t *testing.T) {
	s := newJournalState()
	now := time.Now()
	s.apply(record{Mark: &mark{TaskID: "old", Closed: true, At: now.Add(-25 * time.Hour).UnixMilli()}})
	s.apply(record{Mark: &mark{TaskID: "new", Closed: true, At: now.UnixMilli()}})
	s.apply(record{Mark: &mark{TaskID: "running", At: now.Add(-99 * time.Hour).UnixMilli()}})
	s.prune(now)
	if _, ok := s.marks["old"]; ok || len(s.marks) != 2 {
		t.Errorf("marks: %v", s.marks)
	}
}

func TestOutcomesThatNobodyTakesAreBounded(t *testing.T) {
	t.Run("a worker that crashes for weeks", func(t *testing.T) {
		dir := t.TempDir()
		var said strings.Builder
		j, err := openJournal(dir, hclog.New(&hclog.LoggerOptions{Output: &said}))
		if err != nil {
			t.Fatal(err)
		}
		const n = 2000
		for i := range n {
			o := exitOutcome("a", 1, i+1)
			o.Exit.LogTail, o.Exit.Exit.Stack = strings.Repeat("l", 16<<10), strings.Repeat("s", 16<<10)
			o.Exit.Exit.Message = "boom"
			j.add(record{Open: &o})
			if i == n/2 {
				j.mu.Lock()
				j.lostAt = time.Time{} // as if a minute had passed
				j.mu.Unlock()
			}
		}
		check := func(j *journal) {
			t.Helper()
			left := j.unsent()
			if len(left) != maxOpenExits+1 || left[0].Attempt != 1 || left[1].Attempt != n-maxOpenExits+1 || left[maxOpenExits].Attempt != n {
				t.Fatalf("%d ends are left, the second is that of attempt %d", len(left), left[1].Attempt)
			}
			for i, o := range left {
				whole := i == 0 || i > maxOpenExits-maxOpenLogs
				if (o.Exit.LogTail != "") != whole || (o.Exit.Exit.Stack != "") != whole || o.Exit.Exit.Message != "boom" {
					t.Errorf("end %d (attempt %d): %d bytes of log, %d of stack", i, o.Attempt, len(o.Exit.LogTail), len(o.Exit.Exit.Stack))
				}
			}
		}
		check(j)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(filepath.Join(dir, "journal")); err != nil || st.Size() > 4*compactAt {
			t.Errorf("the file has %d bytes (%v)", st.Size(), err)
		}
		if !strings.Contains(said.String(), "dropped=") {
			t.Errorf("nobody was told: %s", said.String())
		}
		said.Reset()
		check(openTestJournal(t, dir))
	})
	t.Run("many artifacts", func(t *testing.T) {
		s := newOpenOutcomes()
		s.add(exitOutcome("a", 1, 1))
		for i := range maxOpenOutcomes {
			s.add(skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: "a", Attempt: i, Kind: skalds.OutcomeArtifact}})
		}
		list := s.list()
		if len(list) > maxOpenOutcomes || list[0].Kind != skalds.OutcomeExit || list[1].Attempt != s.takeLost() {
			t.Errorf("%d are left, the oldest artifact is number %d", len(list), list[1].Attempt)
		}
	})
	t.Run("large results", func(t *testing.T) {
		s := newOpenOutcomes()
		value := json.RawMessage(strconv.Quote(strings.Repeat("r", 100<<10)))
		for i := range 1000 {
			task := fmt.Sprint("t", i)
			s.add(exitOutcome(task, 1, 1))
			s.add(skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: task, Kind: skalds.OutcomeResult}, Value: value})
		}
		list := s.list()
		sum := 0
		for _, o := range list {
			sum += outcomeBytes(o)
		}
		if sum != s.bytes || sum > maxOpenBytes || sum < maxOpenBytes/2 || list[len(list)-1].TaskID != "t999" || s.takeLost() == 0 {
			t.Errorf("%d bytes in %d outcomes, counted as %d", sum, len(list), s.bytes)
		}
	})
}

func FuzzReadJournal(f *testing.F) {
	buf := []byte(journalMagic)
	for _, r := range []record{
		{Meta: &metaRecord{Incarnation: 4, Generation: 1}},
		{Mark: &mark{TaskID: "a", Epoch: 2}},
		{Edge: &edgeRecord{TaskID: "cam", Overlay: []byte(`{"a":1}`)}},
		{Told: "a"},
	} {
		b, err := appendRecord(buf, r)
		if err != nil {
			f.Fatal(err)
		}
		buf = b
	}
	f.Add(buf)
	f.Add(buf[:len(buf)-3])
	f.Add([]byte("SKJ"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newJournalState()
		good, err := readJournal(bytes.NewReader(data), s.apply)
		if good > int64(len(data)) {
			t.Fatalf("%d good bytes of %d", good, len(data))
		}
		again := newJournalState()
		if good >= int64(len(journalMagic)) {
			if g, err2 := readJournal(bytes.NewReader(data[:good]), again.apply); err2 != nil || g != good {
				t.Fatalf("the good part does not read: %d of %d, %v (first: %v)", g, good, err2, err)
			}
		}
		_ = s.records()
	})
}

// TestAnEndThatNobodyHasAcknowledgedIsKept: a host without a bus for days still knows how its tasks ended, or they would be run again.
func TestAnEndThatNobodyHasAcknowledgedIsKept(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir)
	a := exitOutcome("a", 3, 1)
	old := time.Now().Add(-25 * time.Hour).UnixMilli()
	for _, id := range []string{"a", "told"} { // of the latter the exit was acknowledged
		j.add(
			record{Mark: &mark{TaskID: id, Epoch: 3, DesiredRevision: 2, Desired: skalds.DesiredRunning, At: old, Closed: true}},
			record{Final: &skalds.Report{TaskID: id, Epoch: 3, Attempt: 1, State: skalds.Finished, At: old}},
		)
	}
	j.add(record{Open: &a})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openTestJournal(t, dir)
	for id, want := range map[string]bool{"a": true, "told": false} {
		if _, known := j.mark(id); known != want || j.hasFinal(id, 3) != want {
			t.Errorf("after a day and an hour the mark of %s is known: %v, its end: %v; want %v", id, known, j.hasFinal(id, 3), want)
		}
	}
	j.acked([]skalds.OutcomeKey{a.OutcomeKey})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openTestJournal(t, dir)
	if _, known := j.mark("a"); known || j.hasFinal("a", 3) {
		t.Error("it is kept when it was acknowledged")
	}
}

// TestWhatIsRememberedIsBounded: of too many ends those are forgotten first that were acknowledged, then the oldest.
func TestWhatIsRememberedIsBounded(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	s := newJournalState()
	const owed = maxTombstones + 10
	for i := range owed + 10 {
		id := fmt.Sprint("t", i)
		at := now.UnixMilli() - int64(i)*time.Minute.Milliseconds()
		if i >= owed {
			at = now.UnixMilli() // new, and acknowledged
		} else {
			o := exitOutcome(id, 1, 1)
			s.apply(record{Open: &o})
		}
		s.apply(record{Mark: &mark{TaskID: id, Epoch: 1, At: at, Closed: true}})
		s.apply(record{Final: &skalds.Report{TaskID: id, Epoch: 1, Attempt: 1, At: at}})
	}
	s.prune(now)
	if len(s.marks) != maxTombstones || len(s.finals) != maxTombstones {
		t.Fatalf("%d marks and %d ends are left, want %d", len(s.marks), len(s.finals), maxTombstones)
	}
	for i := range owed + 10 {
		id := fmt.Sprint("t", i)
		_, mark := s.marks[id]
		_, final := s.finals[id]
		if want := i < maxTombstones; mark != want || final != want {
			t.Fatalf("of %s the mark is left: %v, the end: %v; want %v", id, mark, final, want)
		}
	}
}
