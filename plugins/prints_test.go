package plugins

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func TestStrayPrintsAreLogLines(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "print", Text: "a stray print in Main"}, LaunchSpec{Env: []string{"SCRIPT_START=print"}})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	if tail := a.StderrTail(); !contains(tail, "a stray print before the handshake\n", "and one without an end\n", "a stray print in Main\n") || strings.Contains(tail, "|unix|") {
		t.Errorf("output: %q", tail)
	}
}

// What other goroutines print while the process is made ready is not lost, whoever has its output just then.
func TestPrintsAroundTheHandshake(t *testing.T) {
	l, p := setup(t)
	i, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "t", StartTimeout: time.Minute, Env: []string{"SCRIPT_START=ticking"}})
	if err != nil {
		t.Fatal(err)
	}
	missing := func() (out []string) { // no Run: a launched process waits for its task
		said := "\n" + i.StderrTail()
		for n := range 300 {
			for _, line := range []string{fmt.Sprintf("tick %d", n), fmt.Sprintf("tock %d", n)} {
				if !strings.Contains(said, "\n"+line+"\n") {
					out = append(out, line)
				}
			}
		}
		return out
	}
	for deadline := time.Now().Add(20 * time.Second); len(missing()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("lost: %q", missing())
		}
	}
	i.Kill(skalds.ExitCancelled, "enough")
	<-i.Done()
}

func TestHandshakeBehindAFlood(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "finish"}, LaunchSpec{Env: []string{"SCRIPT_START=flood"}, StartTimeout: time.Minute})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v", x)
	}
}

func TestLongLinesAndBinaryRubbish(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "raw", Text: "the last line has no end"}, LaunchSpec{})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	var long, last int
	var binary bool
	for _, line := range a.said() {
		long += strings.Count(line.Raw, "x")
		last += strings.Count(line.Raw, "the last line has no end")
		binary = binary || contains(line.Raw, "\uFFFD", "binary")
	}
	if long < 300_000 || last != 1 || !binary {
		t.Errorf("%d of 300000 bytes, last line %d times, binary %v", long, last, binary)
	}
}

func TestFloodIsHeldBackAndCounted(t *testing.T) {
	l, p := setup(t)
	const wrote = 60000
	a := launch(t, l, p, script{Do: "flood", N: wrote}, LaunchSpec{})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	through, dropped := 0, 0
	for _, line := range a.said() {
		if line.Stream == StreamHost {
			dropped += droppedLines(t, line)
		} else {
			through++
		}
	}
	if dropped == 0 || through+dropped != wrote {
		t.Errorf("of %d lines, %d came through and %d were counted as dropped", wrote, through, dropped)
	}
}

// droppedLines reads how many lines were dropped.
func droppedLines(t testing.TB, l Line) int {
	t.Helper()
	n, _, _ := strings.Cut(strings.TrimPrefix(l.Text, "dropped "), " ")
	lines, err := strconv.Atoi(strings.ReplaceAll(n, ",", ""))
	if err != nil {
		t.Errorf("%q: %v", l.Text, err)
	}
	return lines
}
