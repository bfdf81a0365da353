package plugins

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"
)

const (
	tailBytes    = 64 << 10 // of the last output, kept for reports
	linesPerSec  = 2000     // of one instance; more are dropped and counted
	burstOfLines = 8000
	bytesPerSec  = 1 << 20 // likewise
	burstOfBytes = 8 << 20

	// refill is how long nothing comes through once there was too much: what does then hangs together.
	refill = 250 * time.Millisecond
	// tellEvery is how often what was dropped is told.
	tellEvery = time.Second

	// pace is the time between two looks at a pipe whose lines are dropped. A pipe holds 64 KiB, so a worker that floods
	// it goes on at 32 MB/s at most, and costs the host a wake-up per look instead of one per line.
	pace = 2 * time.Millisecond
	// readQuiet and readFlood are how much is read at a time.
	readQuiet = 4 << 10
	readFlood = 64 << 10
)

// output reads what one process writes: it keeps the tail, hands lines on, and holds back floods.
type output struct {
	ended <-chan struct{} // when closed, pipes are drained as fast as can be

	mu      sync.Mutex // guards what follows
	log     func(Line) // nil: nobody wants the lines yet
	early   []Line     // from before somebody did
	tail    []byte
	lines   float64 // that may come at once
	bytes   float64 // likewise; below zero after a long line
	filled  time.Time
	flooded bool // until there is room for more than a line
	dropped dropped
	teller  *time.Timer // tells what was dropped; nil: nothing was
	crash   crashLines
}

// dropped is what was not handed on since the last time it was told.
type dropped struct {
	lines, bytes int
	since        time.Time
}

func newOutput(log func(Line)) *output {
	return &output{log: log, lines: burstOfLines, bytes: burstOfBytes, filled: time.Now()}
}

// maxEarly is how many lines are kept for who comes to want them.
const maxEarly = 100

// hand hands a line on. The mutex is held.
func (o *output) hand(l Line) {
	switch {
	case o.log != nil:
		o.log(l)
	case len(o.early) < maxEarly:
		o.early = append(o.early, l)
	}
}

// handTo says who gets the lines from now on; the first ones that nobody has had yet come at once.
func (o *output) handTo(log func(Line)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = log
	early := o.early
	o.early = nil
	for _, l := range early {
		o.hand(l)
	}
}

// floodBuffers are for reading what is dropped: each instance would need two for the rare case.
var floodBuffers = sync.Pool{New: func() any { return new([readFlood]byte) }}

// read takes what comes from r until its end.
func (o *output) read(r io.Reader, c *lineCutter) {
	quiet := make([]byte, readQuiet)
	buf := quiet
	pipe, _ := r.(*pipe)
	var big *[readFlood]byte
	var next time.Time // look
	for {
		n, err := r.Read(buf)
		c.feed(buf[:n])
		if err != nil {
			break
		}
		switch flooded := o.isFlooded(); {
		case flooded && big == nil:
			big, _ = floodBuffers.Get().(*[readFlood]byte)
			buf, next = big[:], time.Now()
			if pipe != nil {
				pipe.unwatch()
			}
		case !flooded && big != nil:
			floodBuffers.Put(big)
			big, buf = nil, quiet
			if pipe != nil {
				pipe.watch()
			}
		}
		if big != nil {
			next = o.rest(next, n > 0)
		}
	}
	if big != nil {
		floodBuffers.Put(big)
	}
	c.flush()
	o.tellDropped()
}

// rest waits until it is time for the next look, and says when that after it is. Looks that came late are made up for. What
// a dead process has left is read at once.
func (o *output) rest(next time.Time, left bool) time.Time {
	now := time.Now()
	if late := now.Sub(next); late > 50*pace {
		next = now
	}
	next = next.Add(pace)
	ended := o.ended
	if !left {
		ended = nil // a stray that holds the pipe and says nothing shall not be asked without a pause
	}
	if wait := next.Sub(now); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ended:
		}
	}
	return next
}

// line takes one line, or a piece of one.
func (o *output) line(stream Stream, b []byte, continued bool) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remember(b, []byte{'\n'})
	if o.floodedLocked(now) {
		lines := 1
		if continued {
			lines = 0
		}
		o.dropLocked(now, lines, len(b)+1)
		return
	}
	o.lines--
	o.bytes -= float64(len(b))
	l := Line{At: now, Stream: stream, Level: hclog.Info, Continued: continued}
	raw := strings.ToValidUTF8(string(b), "\uFFFD")
	if continued {
		l.Text, l.Raw = raw, raw
	} else {
		l = parseLine(now, stream, raw)
	}
	if o.crash.is(l) {
		l.Level = hclog.Error
	}
	o.hand(l)
}

// drop takes many lines at once if they are to be dropped.
func (o *output) drop(lines []byte) bool {
	if len(lines) == 0 {
		return false
	}
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.floodedLocked(now) {
		return false
	}
	o.remember(lines, nil)
	o.dropLocked(now, bytes.Count(lines, []byte{'\n'}), len(lines))
	return true
}

func (o *output) isFlooded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.flooded && o.floodedLocked(time.Now())
}

// floodedLocked reports whether what comes now is dropped.
func (o *output) floodedLocked(now time.Time) bool {
	passed := now.Sub(o.filled).Seconds()
	o.lines = min(burstOfLines, o.lines+passed*linesPerSec)
	o.bytes = min(burstOfBytes, o.bytes+passed*bytesPerSec)
	o.filled = now
	if o.flooded {
		o.flooded = o.lines < linesPerSec*refill.Seconds() || o.bytes < bytesPerSec*refill.Seconds()
	} else {
		o.flooded = o.lines < 1 || o.bytes <= 0
	}
	return o.flooded
}

func (o *output) dropLocked(now time.Time, lines, size int) {
	if o.teller == nil {
		o.dropped.since = now
		o.teller = time.AfterFunc(tellEvery, o.tellDropped)
	}
	o.dropped.lines += lines
	o.dropped.bytes += size
}

// tellDropped says how much was dropped since the last time, if anything was.
func (o *output) tellDropped() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.teller == nil {
		return
	}
	o.teller.Stop()
	d, now := o.dropped, time.Now()
	o.teller, o.dropped = nil, dropped{}
	text := fmt.Sprintf("dropped %s lines (%s) in %.1f s: the worker writes more than %s lines or 1 MiB a second",
		grouped(d.lines), sizeText(d.bytes), now.Sub(d.since).Seconds(), grouped(linesPerSec))
	o.hand(Line{At: now, Stream: StreamHost, Level: hclog.Warn, Text: text, Raw: text})
}

// grouped writes 12345 as 12,345.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// sizeText writes bytes to three digits at most.
func sizeText(n int) string {
	switch {
	case n < 1000:
		return strconv.Itoa(n) + " B"
	case n < 1_000_000:
		return strconv.Itoa((n+500)/1000) + " kB"
	}
	return strconv.Itoa((n+500_000)/1_000_000) + " MB"
}

// remember keeps the newest output; end is added to it.
func (o *output) remember(b, end []byte) {
	if over := len(b) - tailBytes; over > 0 {
		b = b[over:]
	}
	if len(o.tail)+len(b)+len(end) > tailBytes+tailBytes/4 {
		keep := max(0, tailBytes-len(b)-len(end))
		o.tail = append(o.tail[:0], o.tail[len(o.tail)-min(keep, len(o.tail)):]...)
	}
	o.tail = append(append(o.tail, b...), end...)
}

// Tail is the last output, at most 64 KiB.
func (o *output) Tail() string {
	o.mu.Lock()
	t := strings.ReplaceAll(string(o.tail[max(0, len(o.tail)-tailBytes-utf8.UTFMax):]), "\r\n", "\n")
	o.mu.Unlock()
	t = strings.ToValidUTF8(t, "\uFFFD")
	if over := len(t) - tailBytes; over > 0 {
		for over < len(t) && !utf8.RuneStart(t[over]) {
			over++
		}
		t = t[over:]
	}
	return t
}
