package plugins

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
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
		got := parseLine(at, StreamErr, tc.raw)
		stream := StreamErr
		if tc.text != tc.raw {
			stream = StreamLog
		}
		if got.Stream != stream || got.Level != tc.level || got.Text != tc.text || !got.At.Equal(tc.at) || got.Raw != tc.raw {
			t.Errorf("%s: got %+v", tc.raw, got)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add(`{"@level":"info","@message":"m","@timestamp":"x","a":{"b":[1]}}`)
	f.Add("{")
	f.Fuzz(func(t *testing.T, raw string) {
		if l := parseLine(time.Time{}, StreamErr, raw); l.Raw != raw || raw != "" && !strings.HasPrefix(raw, "{") && l.Text != raw {
			t.Errorf("%q became %+v", raw, l)
		}
	})
}

// Whatever is written and however it is cut into pieces, nothing is lost and no line is too long.
func FuzzLineCutter(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n\nlast"), 1)
	f.Add([]byte("\x00\xff\n"), 300)
	f.Add([]byte("no end"), 2)
	f.Fuzz(func(t *testing.T, b []byte, times int) {
		if times < 0 || times > 500 || len(b)*times > 1<<20 {
			return
		}
		in := bytes.Repeat(b, times)
		var out []byte
		o := newOutput(nil)
		c := &lineCutter{out: o, stream: StreamErr, first: func(line []byte) ([]byte, bool) {
			if len(line) > MaxLine || bytes.IndexByte(line, '\n') >= 0 {
				t.Errorf("a line of %d bytes", len(line))
			}
			out = append(out, line...)
			return line, true
		}}
		o.read(iotest.HalfReader(bytes.NewReader(in)), c)
		clean := func(b []byte) string { return strings.NewReplacer("\r", "", "\n", "").Replace(string(b)) }
		if clean(in) != clean(out) {
			t.Errorf("%d bytes became %d", len(in), len(out))
		}
	})
}

// collect is an output without a flood's bounds whose lines are kept.
func collect(stream Stream) (*lineCutter, *[]Line) {
	lines := new([]Line)
	o := newOutput(func(l Line) { *lines = append(*lines, l) })
	return &lineCutter{out: o, stream: stream}, lines
}

func TestLongLines(t *testing.T) {
	logged := func(n int) string {
		return `{"@level":"info","@message":"m","field":"` + strings.Repeat("x", n) + `"}`
	}
	for _, tt := range []struct {
		name  string
		write string
		want  []int // lengths of the pieces' texts, all but the last continued
	}{
		{"as long as can be", strings.Repeat("x", MaxLine) + "\n", []int{MaxLine}},
		{"and without an end", strings.Repeat("x", MaxLine), []int{MaxLine}},
		{"a byte longer", strings.Repeat("x", MaxLine+1) + "\n", []int{MaxLine, 1}},
		{"much longer", strings.Repeat("x", 2*MaxLine+7) + "\r\n", []int{MaxLine, MaxLine, 7}},
		{"no letter is cut", strings.Repeat("x", MaxLine-1) + "äb\n", []int{MaxLine - 1, 3}},
		{"of a logger, with a long field", logged(MaxLine) + "\n", []int{MaxLine + len("m field=")}},
		{"of a logger, longer than any", logged(maxLogged) + "\n", []int{MaxLine, MaxLine, len(logged(maxLogged)) - 2*MaxLine}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, lines := collect(StreamErr)
			c.out.read(strings.NewReader(tt.write+"\nthe next\n"), c)
			var got []int
			text := ""
			for n, l := range *lines {
				if l.Text == "" {
					continue // what follows a line that had its end
				}
				if l.Text == "the next" {
					if l.Continued || n < len(tt.want) {
						t.Errorf("line %d is the next: %+v", n, l)
					}
					break
				}
				got = append(got, len(l.Text))
				text += l.Text
				if l.Continued != (len(got) < len(tt.want)) {
					t.Errorf("piece %d: continued %v", len(got), l.Continued)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("pieces of %d, want %d", got, tt.want)
			}
			if raw := strings.TrimRight(tt.write, "\r\n"); len(tt.want) > 1 && text != raw {
				t.Error("the pieces together are not the line")
			}
			if cap(c.rest) > keptLine {
				t.Errorf("%d bytes are kept for the next line", cap(c.rest))
			}
		})
	}
}

func TestStreamsAndLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lines := collect(StreamErr)
		feed := func(s string) { c.feed([]byte(s)) }
		feed("a library's word\n")
		feed("panic: no\n\ngoroutine 1 [running]:\nmain.main()\n")
		feed(`{"@level":"debug","@message":"goes on"}` + "\nplain\n")
		feed("fatal error: all goroutines are asleep\n")
		time.Sleep(2 * crashPause) // fake
		feed("plain again\n")
		(&lineCutter{out: c.out, stream: StreamOut}).feed([]byte("panic: printed\n"))
		var got []string
		for _, l := range *lines {
			got = append(got, string(l.Stream)+" "+l.Level.String()+" "+l.Text)
		}
		want := []string{
			"err info a library's word", "err error panic: no", "err error ", "err error goroutine 1 [running]:", "err error main.main()",
			"log debug goes on", "err info plain", "err error fatal error: all goroutines are asleep", "err info plain again", "out info panic: printed",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestTailIsBoundedAndTheNewest(t *testing.T) {
	o := newOutput(nil)
	o.read(strings.NewReader(strings.Repeat("ä line of text\n", 20000)+"the last"), &lineCutter{out: o})
	tail := o.Tail()
	if len(tail) > tailBytes || len(tail) < tailBytes-16 || !strings.HasSuffix(tail, "text\nthe last\n") || !utf8.ValidString(tail) {
		t.Errorf("%d bytes, ends with %q", len(tail), tail[max(0, len(tail)-20):])
	}
}

// What is dropped is told once a second at most, exactly, also when the flood has ended.
func TestFloodRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lines := collect(StreamOut)
		defer c.out.tellDropped()
		count := func(n int) (through int, told []string) {
			synctest.Wait()
			*lines = nil
			c.feed([]byte(strings.Repeat("x\n", n)))
			for _, l := range *lines {
				if l.Stream == StreamHost && l.Level == hclog.Warn {
					told = append(told, l.Text)
				} else {
					through++
				}
			}
			return through, told
		}
		if got, told := count(burstOfLines + 12345); got != burstOfLines || len(told) != 0 {
			t.Errorf("%d lines of the burst came through, %q", got, told)
		}
		time.Sleep(refill / 2) // fake
		if got, _ := count(5); got != 0 {
			t.Errorf("%d lines came through right after the burst", got)
		}
		synctest.Wait()
		*lines = nil
		if !c.out.isFlooded() { // its lock also keeps what was done here ahead of what is told meanwhile
			t.Error("the flood is not held back")
		}
		time.Sleep(tellEvery) // nobody writes any more
		synctest.Wait()
		if want := "dropped 12,350 lines (25 kB) in 1.0 s: the worker writes more than 2,000 lines or 1 MiB a second"; len(*lines) != 1 || (*lines)[0].Text != want {
			t.Errorf("told %+v", *lines)
		}
		time.Sleep(time.Hour)
		if got, told := count(1); got != 1 || len(told) != 0 {
			t.Errorf("after a rest %d, %q", got, told)
		}
		through, told := 0, 0
		synctest.Wait()
		*lines = nil
		for range 10_000 {
			c.feed([]byte(strings.Repeat("x\n", 100)))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		sum := 0
		for _, l := range *lines {
			if l.Stream != StreamHost {
				through++
				continue
			}
			told++
			n, _, _ := strings.Cut(strings.TrimPrefix(l.Text, "dropped "), " ")
			n1, err := strconv.Atoi(strings.ReplaceAll(n, ",", ""))
			if err != nil {
				t.Fatal(err)
			}
			sum += n1
		}
		sum += c.out.dropped.lines
		if told > 10 || through < 8*linesPerSec+burstOfLines || sum+through != 1_000_000 {
			t.Errorf("in 10 s: told %d times, %d through, %d dropped", told, through, sum)
		}
	})
}

func TestFloodOfBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, lines := collect(StreamOut)
		line := append(bytes.Repeat([]byte("x"), 64<<10-1), '\n')
		flood := func() (through int) {
			synctest.Wait()
			*lines = nil
			for range 1000 {
				c.feed(line)
			}
			for _, l := range *lines {
				if l.Stream == StreamOut {
					through += len(l.Raw)
				}
			}
			return through
		}
		if through := flood(); through < burstOfBytes || through > burstOfBytes+len(line) {
			t.Errorf("%d bytes of the burst came through", through)
		}
		if !c.out.isFlooded() { // its lock also keeps what was read here ahead of what is told meanwhile
			t.Error("the flood is not held back")
		}
		time.Sleep(time.Second) // fake
		if through := flood(); through < bytesPerSec-len(line) || through > bytesPerSec+len(line) {
			t.Errorf("%d bytes came through a second later", through)
		}
		c.out.tellDropped()
	})
}

func TestTailOfAFloodIsExact(t *testing.T) {
	o := newOutput(nil)
	var all strings.Builder
	for n := range 300_000 {
		fmt.Fprintf(&all, "line %d of many\n", n)
	}
	o.read(strings.NewReader(all.String()), &lineCutter{out: o, stream: StreamOut})
	if want := all.String()[all.Len()-tailBytes:]; o.Tail() != want {
		t.Errorf("ends with %q", o.Tail()[tailBytes-40:])
	}
}

func TestLineWriter(t *testing.T) {
	c, lines := collect(StreamOut)
	w := lineWriter{cutter: *c}
	for _, piece := range []string{"a", "b\r\nc\n\n", "", strings.Repeat("x", MaxLine-5), "y\n", "no end"} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Errorf("%d %v", n, err)
		}
	}
	w.flush()
	w.flush()
	var got []string
	for _, l := range *lines {
		got = append(got, l.Text)
	}
	if want := []string{"ab", "c", "", strings.Repeat("x", MaxLine-5) + "y", "no end"}; !slices.Equal(got, want) {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}
