package host

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/DeRuina/timberjack"
	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
)

// Bounds of what is kept of a task's log in memory.
const (
	logRingBytes   = 32 << 10 // the last lines of a task, for exit reports and, without a file, for readers
	followBuffer   = 512      // lines that a slow reader may lag behind before some are dropped
	followBytes    = 4 << 20  // likewise
	attemptLogTail = 16 << 10 // of an exit report
	consoleText    = 4 << 10  // of a worker's line that the host repeats
)

// Bounds of one line of a log, and of how much of a file is read at once.
const (
	maxLogText = plugins.MaxLine + 64<<10 // a worker's longest line with a logger's message and names; longer ones are cut
	maxTail    = 16 << 20
)

// rotatedKept is how many rotated files of one task are kept, however young they are: nobody shall fill the disk by talking.
const rotatedKept = 5

// taskLogs keeps the logs of this host's tasks: a file each, rotated and removed by age, or only the last lines in memory.
type taskLogs struct {
	dir       string // empty: no files
	rotateMB  int
	retention time.Duration
	console   hclog.Logger

	mu   sync.Mutex // guards live
	live map[string]*taskLog
}

func newTaskLogs(cfg Config, console hclog.Logger) *taskLogs {
	l := &taskLogs{rotateMB: cfg.LogRotationMB, retention: cfg.LogRetention, console: console, live: map[string]*taskLog{}}
	if cfg.LogSplit {
		if l.dir = cfg.LogDir; l.dir == "" {
			l.dir = filepath.Join(cfg.DataDir, "logs")
		}
	}
	return l
}

func (l *taskLogs) path(taskID string) string {
	return filepath.Join(l.dir, skalds.FileName(taskID)+".log")
}

// open returns the log of a task that is about to run. Close it when the task has left this host.
func (l *taskLogs) open(taskID string) (*taskLog, error) {
	t := &taskLog{taskID: taskID, owner: l, console: l.console.Named(taskID), readers: map[*logReader]struct{}{}}
	if l.dir != "" {
		if err := os.MkdirAll(l.dir, 0o755); err != nil {
			return nil, fmt.Errorf("open the log of task %s: %w", taskID, err)
		}
		t.file = &timberjack.Logger{
			// Age is our sweep's affair, and number write's: the logger would read the whole folder for every task's first line.
			Filename: l.path(taskID), MaxSize: max(l.rotateMB, 1), FileMode: 0o644,
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[taskID] = t
	return t, nil
}

// tail returns the last n lines of a task's log, running or not.
func (l *taskLogs) tail(taskID string, n int) ([]string, error) {
	l.mu.Lock()
	t := l.live[taskID]
	l.mu.Unlock()
	if t != nil {
		return t.tail(n)
	}
	if l.dir == "" {
		return nil, nil
	}
	return tailFiles(l.path(taskID), n)
}

// follow returns the last n lines and a reader of those to come; the reader is nil where the task does not run here.
func (l *taskLogs) follow(taskID string, n int) ([]string, *logReader, error) {
	l.mu.Lock()
	t := l.live[taskID]
	l.mu.Unlock()
	if t == nil {
		lines, err := l.tail(taskID, n)
		return lines, nil, err
	}
	return t.follow(n)
}

// sweep removes the files of tasks that have not written for longer than the retention.
func (l *taskLogs) sweep(now time.Time) (removed int) {
	if l.dir == "" || l.retention <= 0 {
		return 0
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return 0
	}
	l.mu.Lock()
	keep := map[string]bool{}
	for id := range l.live {
		keep[filepath.Base(l.path(id))] = true
	}
	l.mu.Unlock()
	for _, e := range entries {
		if keep[e.Name()] || e.IsDir() || !strings.HasSuffix(e.Name(), ".log") {
			continue
		}
		if st, err := e.Info(); err == nil && now.Sub(st.ModTime()) > l.retention && os.Remove(filepath.Join(l.dir, e.Name())) == nil {
			removed++
		}
	}
	return removed
}

// taskLog takes the lines of one task, over all its attempts here.
type taskLog struct {
	taskID  string
	owner   *taskLogs
	console hclog.Logger

	mu      sync.Mutex // guards all below, and the order of lines
	file    *timberjack.Logger
	failed  bool // the last write to the file failed; said once
	written int  // bytes, since rotated files were counted
	ring    []string
	ringLen int
	readers map[*logReader]struct{}
	closed  bool
}

// logReader receives lines as they come. Lines is closed when the task has left this host; whoever takes one of them says
// so by took.
type logReader struct {
	Lines   chan string
	log     *taskLog
	waiting atomic.Int64 // bytes in Lines
	dropped int
}

// write takes one of our own lines about the worker.
func (t *taskLog) write(at time.Time, level hclog.Level, attempt int, text string) {
	t.worker(attempt, plugins.Line{At: at, Stream: plugins.StreamHost, Level: level, Text: text})
}

// worker takes one line of the worker. What is written has the form
//
//	2026-01-02T15:04:05.000Z [INFO ] #1 out: text
//
// with the time in UTC, the level, the number of the attempt, and the stream. A "+" behind the stream says that its next
// line goes on with a text that was too long; a logger's message of several lines is so many lines.
func (t *taskLog) worker(attempt int, l plugins.Line) {
	if l.Level == hclog.NoLevel {
		l.Level = hclog.Info
	}
	head := fmt.Sprintf("%s [%-5s] #%d %s", l.At.UTC().Format("2006-01-02T15:04:05.000Z"), strings.ToUpper(l.Level.String()), attempt, l.Stream)
	shown := l.Level
	t.mu.Lock()
	if !t.closed {
		most := maxLogText
		if t.file != nil {
			most = min(most, t.file.MaxSize<<20-len(head)-len("+: \n")) // no line is longer than a file may be
			if shown < hclog.Warn {
				shown = hclog.Debug // the file has it
			}
		}
		for text := range strings.SplitSeq(l.Text, "\n") {
			for len(text) > most {
				n := most
				for n > most-utf8.UTFMax && !utf8.RuneStart(text[n]) {
					n--
				}
				t.add(head + "+: " + text[:n])
				text = text[n:]
			}
			if l.Continued {
				t.add(head + "+: " + text)
			} else {
				t.add(head + ": " + text)
			}
		}
	}
	t.mu.Unlock()
	if len(l.Text) > consoleText {
		l.Text = strings.ToValidUTF8(l.Text[:consoleText], "") + "…"
	}
	t.console.Log(shown, l.Text, "attempt", attempt)
}

// add hands on one line.
func (t *taskLog) add(line string) {
	for r := range t.readers {
		r.offer(line)
	}
	t.remember(line)
	if t.file == nil {
		return
	}
	n, err := t.file.Write([]byte(line + "\n"))
	if t.written += n; t.written >= t.file.MaxSize<<20 { // it was rotated, once at most
		t.written = 0
		removeOldBackups(t.file.Filename)
	}
	if err != nil && !t.failed {
		t.console.Warn("cannot write the log file of the task", "task_id", t.taskID, "err", err)
	}
	t.failed = err != nil
}

func (t *taskLog) remember(line string) {
	if over := len(line) - attemptLogTail; over > 0 && t.file != nil { // which has all of it
		line = strings.Clone(strings.ToValidUTF8(line[over:], ""))
	}
	t.ring = append(t.ring, line)
	t.ringLen += len(line) + 1
	for t.ringLen > logRingBytes && len(t.ring) > 1 {
		t.ringLen -= len(t.ring[0]) + 1
		t.ring = t.ring[1:]
	}
}

// recent is the end of the log, at most limit bytes, for an exit report.
func (t *taskLog) recent(limit int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, size := len(t.ring), 0
	for from > 0 && size+len(t.ring[from-1])+1 <= limit {
		from--
		size += len(t.ring[from]) + 1
	}
	if from == len(t.ring) && from > 0 { // one line longer than all there is room for
		last := t.ring[from-1]
		return strings.ToValidUTF8(last[len(last)-min(limit, len(last)):], "")
	}
	return strings.Join(t.ring[from:], "\n")
}

func (t *taskLog) tail(n int) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.tailLocked(n)
}

func (t *taskLog) tailLocked(n int) ([]string, error) {
	if t.file != nil && !t.failed {
		return tailFiles(t.file.Filename, n)
	}
	return append([]string(nil), t.ring[max(0, len(t.ring)-n):]...), nil
}

func (t *taskLog) follow(n int) ([]string, *logReader, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines, err := t.tailLocked(n)
	if err != nil || t.closed {
		return lines, nil, err
	}
	r := &logReader{Lines: make(chan string, followBuffer), log: t}
	t.readers[r] = struct{}{}
	return lines, r, nil
}

// offer never blocks: a reader that lags too far behind is told how many lines it has missed.
func (r *logReader) offer(line string) {
	if r.dropped > 0 {
		notice := fmt.Sprintf("… %d lines dropped: the reader is too slow", r.dropped)
		if r.waiting.Load() > followBytes {
			r.dropped++
			return
		}
		select {
		case r.Lines <- notice:
			r.waiting.Add(int64(len(notice)))
			r.dropped = 0
		default:
			r.dropped++
			return
		}
	}
	if r.waiting.Load() > followBytes {
		r.dropped++
		return
	}
	select {
	case r.Lines <- line:
		r.waiting.Add(int64(len(line)))
	default:
		r.dropped++
	}
}

// took says that a line was taken out of Lines.
func (r *logReader) took(line string) { r.waiting.Add(-int64(len(line))) }

// Close ends the reading.
func (r *logReader) Close() {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	delete(r.log.readers, r)
}

// Close ends the log: readers see its end.
func (t *taskLog) Close() error {
	t.owner.mu.Lock()
	if t.owner.live[t.taskID] == t {
		delete(t.owner.live, t.taskID)
	}
	t.owner.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	for r := range t.readers {
		close(r.Lines)
	}
	t.readers = nil
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

// tailFiles reads the last n lines of a log file and, where it has fewer, of the file that was rotated last.
func tailFiles(path string, n int) ([]string, error) {
	lines, err := tailFile(path, n)
	if err != nil || len(lines) >= n {
		return lines, err
	}
	if older := newestBackup(path); older != "" {
		if more, err := tailFile(older, n-len(lines)); err == nil {
			lines = append(more, lines...)
		}
	}
	return lines, nil
}

// newestBackup finds the file that was rotated last.
func newestBackup(path string) string {
	if all := backups(path); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// removeOldBackups keeps the newest rotated files.
func removeOldBackups(path string) {
	all := backups(path)
	for _, old := range all[:max(0, len(all)-rotatedKept)] {
		_ = os.Remove(old) // else the sweep does, when it is old enough
	}
}

// backups lists the rotated files, oldest first; their names are <name>-<time>-<reason>.log, and another task's name may
// start alike.
func backups(path string) (all []string) {
	const layout = "2006-01-02T15-04-05.000"
	stem := strings.TrimSuffix(filepath.Base(path), ".log") + "-"
	entries, err := os.ReadDir(filepath.Dir(path)) // sorted
	if err != nil {
		return nil
	}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), stem)
		if !ok || len(rest) < len(layout) {
			continue
		}
		if _, err := time.Parse(layout, rest[:len(layout)]); err == nil {
			all = append(all, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return all
}

func tailFile(path string, n int) ([]string, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	from, err := tailStart(f, st.Size(), n)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	buf := make([]byte, st.Size()-from)
	if _, err := f.ReadAt(buf, from); err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	text := strings.TrimSuffix(string(buf), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// tailStart finds where the last n lines of a file begin, or as many of them as there may be read at once.
func tailStart(f io.ReaderAt, size int64, n int) (int64, error) {
	if n <= 0 {
		return size, nil
	}
	start, seen := size, 0 // ends of lines that were seen, the last one's among them
	var block [64 << 10]byte
	for at := size; at > 0; {
		b := block[:min(int64(len(block)), at)]
		at -= int64(len(b))
		if _, err := f.ReadAt(b, at); err != nil {
			return 0, err
		}
		for len(b) > 0 {
			i := bytes.LastIndexByte(b, '\n')
			if i < 0 {
				break
			}
			b = b[:i]
			end := at + int64(i) + 1
			if end == size {
				continue
			}
			if size-end > maxTail {
				return start, nil
			}
			start = end
			if seen++; seen == n {
				return start, nil
			}
		}
	}
	if size > maxTail && start > 0 {
		return start, nil
	}
	return 0, nil
}
