package e2e

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// A line of a megabyte is whole wherever it is read, in whatever way it was written.
func TestLinesOfAMegabyte(t *testing.T) {
	p := standalone(t, t.TempDir())
	const size = 1_000_000
	p.create(task("says", "say", func(c *api.CreateTask) { c.Attachments = object{"do": "say", "millis": size}.json(t) }))
	if got := p.ends("says"); got.LifecycleStatus != skalds.Finished {
		t.Fatalf("%s: %v", got.LifecycleStatus, got.Error)
	}
	text := strings.Repeat("x", size)
	whole := []string{"[INFO ] #1 out: " + text, "[INFO ] #1 err: " + text, "[WARN ] #1 log: said line=" + text, "[INFO ] #1 out: " + text + "raw", "[INFO ] #1 err: " + text + "raw"}
	for _, args := range [][]string{{}, {"--follow"}} {
		out, errOut, code := command(t, p, append([]string{"task", "logs", "says"}, args...)...)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		lines := strings.Split(out, "\n")
		for _, want := range whole {
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasSuffix(l, want) }) {
				t.Errorf("%v: no line %.40s", args, want)
			}
		}
		if t.Failed() {
			for _, l := range lines {
				t.Logf("%d bytes: %.80s", len(l), l)
			}
		}
	}
}

// A worker that floods is counted, and the program answers and stops it as if it were quiet.
func TestAFloodIsToldAndStopped(t *testing.T) {
	p := standalone(t, t.TempDir())
	p.create(task("pours", "pour"))
	p.runs("pours")
	told := regexp.MustCompile(`(?m)\[WARN \] #1 host: dropped [0-9,]+ lines \(\d+ [kM]B\) in \d+\.\d s: `)
	p.until("it is told what was dropped", func(ctx context.Context) bool { return told.MatchString(p.logTail(ctx, "pours", 5000)) })
	began := time.Now()
	if _, err := p.Cancel(t.Context(), "pours"); err != nil {
		t.Fatal(err)
	}
	p.wait("it has ended", func() bool {
		attempts, err := p.Attempts(t.Context(), "pours")
		return err == nil && len(attempts) == 1 && attempts[0].Exit != nil && attempts[0].Exit.Kind == skalds.ExitCancelled
	})
	t.Logf("stopped within %s", time.Since(began))
}
