package plugins

import (
	"bytes"
	"sync"
	"unicode/utf8"
)

const (
	// MaxLine is how long a line of a worker may be to stay whole, in bytes; a longer one comes in pieces of it.
	MaxLine = 1 << 20
	// maxLogged is likewise for a line of a logger, in which a long text grows by names and escapes.
	maxLogged = 2*MaxLine + 64<<10
	// keptLine is how much room for a line is kept for the next one.
	keptLine = 16 << 10
)

// lineCutter takes the bytes of one stream and hands on lines.
type lineCutter struct {
	out    *output
	stream Stream
	first  func(line []byte) (text []byte, more bool) // sees every line before others, as long as it wants more; may be nil
	rest   []byte                                     // of a line without an end so far
	cut    bool                                       // rest goes on with a line that was cut
}

// feed takes what was written next.
func (c *lineCutter) feed(p []byte) {
	for len(p) > 0 {
		if len(c.rest) == 0 && !c.cut && c.first == nil {
			if end := bytes.LastIndexByte(p, '\n') + 1; c.out.drop(p[:end]) {
				p = p[end:]
				continue
			}
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			c.rest = append(c.rest, p...)
			c.cutRest()
			return
		}
		line := p[:end]
		if len(c.rest) > 0 {
			c.rest = append(c.rest, line...)
			line = c.rest
		}
		c.whole(bytes.TrimSuffix(line, []byte("\r")))
		c.clear()
		p = p[end+1:]
	}
}

// cutRest hands on pieces of a line that is too long already.
func (c *lineCutter) cutRest() {
	limit := MaxLine
	if !c.cut && isLogged(c.rest) {
		limit = maxLogged
	}
	if len(c.rest) <= limit {
		return
	}
	rest := c.pieces(c.rest)
	c.rest = append(c.rest[:0], rest...)
	c.cut = true
}

// pieces hands on all of a line but its last piece.
func (c *lineCutter) pieces(b []byte) (last []byte) {
	for len(b) > MaxLine {
		n := runeStart(b, MaxLine)
		c.out.line(c.stream, b[:n], true)
		b = b[n:]
	}
	return b
}

// whole hands on a line that has its end.
func (c *lineCutter) whole(b []byte) {
	if c.first != nil {
		var more bool
		if b, more = c.first(b); !more {
			c.first = nil
			if len(b) == 0 {
				return
			}
		}
	}
	if c.cut || !isLogged(b) || len(b) > maxLogged {
		b = c.pieces(b)
	}
	c.out.line(c.stream, b, false)
}

func (c *lineCutter) clear() {
	c.rest, c.cut = c.rest[:0], false
	if cap(c.rest) > keptLine {
		c.rest = nil
	}
}

// flush hands on what has no end.
func (c *lineCutter) flush() {
	if len(c.rest) > 0 {
		c.whole(c.rest)
	}
	c.clear()
}

// isLogged reports whether a line looks like one of hclog's, whose keys are sorted.
func isLogged(b []byte) bool { return bytes.HasPrefix(b, []byte(`{"@`)) }

// runeStart is the last place up to n at which b may be cut.
func runeStart(b []byte, n int) int {
	for at := n; at > n-utf8.UTFMax; at-- {
		if utf8.RuneStart(b[at]) {
			return at
		}
	}
	return n
}

// lineWriter takes output in pieces, as go-plugin hands it on. It is safe for concurrent use.
type lineWriter struct {
	mu     sync.Mutex // guards cutter
	cutter lineCutter
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutter.feed(p)
	return len(p), nil
}

// flush hands on what has no end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutter.flush()
}
