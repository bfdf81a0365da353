package plugins

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Stream is where a line of a task's log comes from.
type Stream string

// The streams of a worker, and what its host says about it.
const (
	StreamOut  Stream = "out"  // standard output, whoever writes to it
	StreamErr  Stream = "err"  // standard error, but for lines of a logger
	StreamLog  Stream = "log"  // a logger's lines: hclog's JSON, on either
	StreamHost Stream = "host" // nothing that the worker wrote
)

// Line is one line that a worker wrote.
type Line struct {
	At        time.Time
	Stream    Stream
	Level     hclog.Level // Info for text that is no hclog line; Error for what a crash leaves on standard error
	Text      string      // readable: message and pairs of an hclog line, or the line itself
	Raw       string      // as written
	Continued bool        // a piece of a line that was too long: the next of its stream goes on with it
}

// parseLine reads hclog's JSON lines; everything else stands for itself.
func parseLine(at time.Time, stream Stream, raw string) Line {
	l := Line{At: at, Stream: stream, Level: hclog.Info, Text: raw, Raw: raw}
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
	l.Stream = StreamLog
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
		if s, ok := m[k].(string); ok && strings.ContainsAny(s, " \"=\r\n") {
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

// crashPause ends a crash's words: they come at once.
const crashPause = time.Second

// crashes are the first words of what a runtime leaves on standard error when its program dies.
var crashes = []string{"panic: ", "fatal error: ", "SIGABRT: ", "SIGQUIT: ", "SIGSEGV: ", "SIGBUS: ", "SIGFPE: ", "SIGILL: ", "SIGTRAP: ", "Traceback (most recent call last):"}

// crashLines finds the lines of a crash. Nothing tells where they end but a logger's line or a pause: a worker that has
// printed such words itself goes on.
type crashLines struct {
	last time.Time // of the last one
}

// is reports whether a line of standard error belongs to a crash.
func (c *crashLines) is(l Line) bool {
	if l.Stream != StreamErr {
		if l.Stream == StreamLog {
			c.last = time.Time{}
		}
		return false
	}
	if c.last.IsZero() || l.At.Sub(c.last) > crashPause {
		c.last = time.Time{}
		if !slices.ContainsFunc(crashes, func(first string) bool { return strings.HasPrefix(l.Text, first) }) {
			return false
		}
	}
	c.last = l.At
	return true
}
