package plugins

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"
)

func TestParseLine(t *testing.T) {
	at := time.Unix(5, 0)
	for _, tc := range []struct {
		raw   string
		level hclog.Level
		text  string
		at    time.Time
	}{
		{"plain text", hclog.Info, "plain text", at},
		{"", hclog.Info, "", at},
		{`{"a":1}`, hclog.Info, `{"a":1}`, at},
		{`{"@message":5}`, hclog.Info, `{"@message":5}`, at},
		{`{"@message":"cut`, hclog.Info, `{"@message":"cut`, at},
		{`{"@level":"loud","@message":"m"}`, hclog.Info, "m", at},
		{
			`{"@level":"error","@message":"cannot open","@module":"w","@timestamp":"2026-01-02T03:04:05.000006Z","z":1.50,"task_id":"t","err":"no such file","ok":true}`,
			hclog.Error, `cannot open err="no such file" ok=true z=1.50`, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		},
	} {
		got := parseLine(at, tc.raw)
		if got.Level != tc.level || got.Text != tc.text || !got.At.Equal(tc.at) || got.Raw != tc.raw {
			t.Errorf("%s: got %+v", tc.raw, got)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add(`{"@level":"info","@message":"m","@timestamp":"x","a":{"b":[1]}}`)
	f.Add("{")
	f.Fuzz(func(t *testing.T, raw string) {
		if l := parseLine(time.Time{}, raw); l.Raw != raw || raw != "" && !strings.HasPrefix(raw, "{") && l.Text != raw {
			t.Errorf("%q became %+v", raw, l)
		}
	})
}

// Whatever is written and however it is cut into pieces, nothing is lost and no line is too long.
func FuzzReadLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n\nlast"), 1)
	f.Add([]byte("\x00\xff\n"), 300)
	f.Add([]byte("no end"), 2)
	f.Fuzz(func(t *testing.T, b []byte, times int) {
		if times < 0 || times > 500 || len(b)*times > 1<<20 {
			return
		}
		in := bytes.Repeat(b, times)
		var out []byte
		readLines(iotest.HalfReader(bytes.NewReader(in)), func(line []byte) {
			if len(line) > maxLine+4096 || bytes.IndexByte(line, '\n') >= 0 {
				t.Errorf("a line of %d bytes", len(line))
			}
			out = append(out, line...)
		})
		clean := func(b []byte) string { return strings.NewReplacer("\r", "", "\n", "").Replace(string(b)) }
		if clean(in) != clean(out) {
			t.Errorf("%d bytes became %d", len(in), len(out))
		}
	})
}

func TestTailIsBoundedAndTheNewest(t *testing.T) {
	o := newOutput(nil)
	o.read(strings.NewReader(strings.Repeat("ä line of text\n", 20000) + "the last"))
	tail := o.Tail()
	if len(tail) > tailBytes || len(tail) < tailBytes-16 || !strings.HasSuffix(tail, "text\nthe last\n") || !utf8.ValidString(tail) {
		t.Errorf("%d bytes, ends with %q", len(tail), tail[max(0, len(tail)-20):])
	}
}

func TestFloodRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []Line
		o := newOutput(func(l Line) { lines = append(lines, l) })
		count := func(n int) int {
			lines = nil
			for range n {
				o.line([]byte("x"))
			}
			return len(lines)
		}
		if got := count(burstOfLines + 500); got != burstOfLines {
			t.Errorf("%d lines of the burst came through", got)
		}
		time.Sleep(time.Second) // fake
		if got := count(linesPerSec + 7); got != linesPerSec+1 || !strings.HasPrefix(lines[0].Text, "500 lines were dropped") || lines[0].Level != hclog.Warn {
			t.Errorf("a second later %d came through, the first: %+v", got, lines[0])
		}
		time.Sleep(time.Hour)
		if got := count(1); got != 2 || !strings.HasPrefix(lines[0].Text, "7 lines were dropped") {
			t.Errorf("after a rest: %+v", lines)
		}
		count(2 * burstOfLines)
		lines = nil
		o.read(io.MultiReader())
		if len(lines) != 1 || !strings.Contains(lines[0].Text, "dropped") {
			t.Errorf("at the end: %+v", lines)
		}
	})
}

func TestFloodOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var through int
		var told []string
		o := newOutput(func(l Line) {
			if l.Level == hclog.Warn {
				told = append(told, l.Text)
			} else {
				through += len(l.Raw)
			}
		})
		flood := func() {
			through = 0
			for range 1000 {
				o.line([]byte(strings.Repeat("x", maxLine)))
			}
		}
		flood()
		if through < burstOfBytes || through > burstOfBytes+maxLine {
			t.Errorf("%d bytes of the burst came through", through)
		}
		time.Sleep(time.Second) // fake
		flood()
		if through < bytesPerSec || through > bytesPerSec+maxLine {
			t.Errorf("%d bytes came through a second later", through)
		}
		if want := "872 lines were dropped: the worker writes more than 2000 lines or 1 MiB a second"; len(told) != 1 || told[0] != want {
			t.Errorf("told %q", told)
		}
	})
}

func TestLineWriter(t *testing.T) {
	var got []string
	w := lineWriter{take: func(b []byte) { got = append(got, string(b)) }}
	for _, piece := range []string{"a", "b\r\nc\n\n", "", strings.Repeat("x", maxLine+5), "y\n", "no end"} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Errorf("%d %v", n, err)
		}
	}
	w.flush()
	w.flush()
	if want := []string{"ab", "c", "", strings.Repeat("x", maxLine+5), "y", "no end"}; !slices.Equal(got, want) {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}
