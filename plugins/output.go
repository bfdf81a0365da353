package plugins

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	maxLine      = 64 << 10 // longer ones are cut into pieces
	tailBytes    = 64 << 10 // of the last output, kept for reports
	linesPerSec  = 2000     // of one instance; more are dropped and counted
	burstOfLines = 8000
	bytesPerSec  = 1 << 20 // likewise
	burstOfBytes = 8 << 20
)

// Line is one line that a worker wrote.
type Line struct {
	At    time.Time
	Level hclog.Level // Info for text that is no hclog line
	Text  string      // readable: message and pairs of an hclog line, or the line itself
	Raw   string      // as written
}

// output reads what one process writes: it keeps the tail, hands lines on, and holds back floods.
type output struct {
	log func(Line)

	mu      sync.Mutex // guards what follows
	tail    []byte
	lines   float64 // that may come at once
	bytes   float64 // likewise; below zero after a long line
	filled  time.Time
	dropped int
}

func newOutput(log func(Line)) *output {
	if log == nil {
		log = func(Line) {}
	}
	return &output{log: log, lines: burstOfLines, bytes: burstOfBytes, filled: time.Now()}
}

// read takes lines until the end of r.
func (o *output) read(r io.Reader) {
	readLines(r, o.line)
	o.reportDropped()
}

// readLines calls take with every line until the end of r, and with pieces of lines that are too long.
func readLines(r io.Reader, take func([]byte)) {
	br := bufio.NewReaderSize(r, 4<<10)
	var line []byte
	for {
		chunk, err := br.ReadSlice('\n')
		line = append(line, chunk...)
		if err == nil || len(line) >= maxLine || (err != nil && !errors.Is(err, bufio.ErrBufferFull) && len(line) > 0) {
			take(bytes.TrimRight(line, "\r\n"))
			line = line[:0]
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (o *output) line(b []byte) {
	raw := strings.ToValidUTF8(string(b), "\uFFFD")
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(append(o.tail, raw...), '\n')
	if over := len(o.tail) - tailBytes; over > tailBytes/4 {
		o.tail = append(o.tail[:0], o.tail[over:]...)
	}
	passed := now.Sub(o.filled).Seconds()
	o.lines = min(burstOfLines, o.lines+passed*linesPerSec)
	o.bytes = min(burstOfBytes, o.bytes+passed*bytesPerSec)
	o.filled = now
	if o.lines < 1 || o.bytes <= 0 {
		o.dropped++
		return
	}
	o.lines--
	o.bytes -= float64(len(raw))
	o.flushDroppedLocked(now)
	o.log(parseLine(now, raw))
}

func (o *output) flushDroppedLocked(now time.Time) {
	if o.dropped == 0 {
		return
	}
	text := fmt.Sprintf("%d lines were dropped: the worker writes more than %d lines or 1 MiB a second", o.dropped, linesPerSec)
	o.dropped = 0
	o.log(Line{At: now, Level: hclog.Warn, Text: text, Raw: text})
}

func (o *output) reportDropped() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flushDroppedLocked(time.Now())
}

// lineWriter takes output in pieces, as go-plugin hands it on. It is safe for concurrent use.
type lineWriter struct {
	take func([]byte)

	mu   sync.Mutex // guards rest
	rest []byte     // of a line without an end so far
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		end := bytes.IndexByte(w.rest, '\n')
		if end < 0 {
			break
		}
		w.take(bytes.TrimRight(w.rest[:end], "\r"))
		w.rest = w.rest[end+1:]
	}
	if len(w.rest) >= maxLine {
		w.take(w.rest)
		w.rest = nil
	}
	return len(p), nil
}

// flush hands on what has no end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.take(w.rest)
		w.rest = nil
	}
}

// Tail is the last output, at most 64 KiB.
func (o *output) Tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.tail
	if len(t) > tailBytes {
		t = t[len(t)-tailBytes:]
	}
	return strings.ToValidUTF8(string(t), "")
}

// parseLine reads hclog's JSON lines; everything else stands for itself.
func parseLine(at time.Time, raw string) Line {
	l := Line{At: at, Level: hclog.Info, Text: raw, Raw: raw}
	if !strings.HasPrefix(raw, "{") {
		return l
	}
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	if d.Decode(&m) != nil {
		return l
	}
	msg, ok := m["@message"].(string)
	if !ok {
		return l
	}
	if level, ok := m["@level"].(string); ok {
		if v := hclog.LevelFromString(level); v != hclog.NoLevel {
			l.Level = v
		}
	}
	if ts, ok := m["@timestamp"].(string); ok {
		if t, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", ts); err == nil {
			l.At = t
		}
	}
	var b strings.Builder
	b.WriteString(msg)
	for _, k := range sortedKeys(m) {
		if strings.HasPrefix(k, "@") || k == "task_id" {
			continue
		}
		if s, ok := m[k].(string); ok && strings.ContainsAny(s, " \"=") {
			fmt.Fprintf(&b, " %s=%q", k, s)
		} else {
			fmt.Fprintf(&b, " %s=%v", k, m[k])
		}
	}
	l.Text = b.String()
	return l
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
