package testlog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/internal/testlog"
)

// recorder is a testing.TB that keeps what is logged and runs its cleanups on demand.
type recorder struct {
	testing.TB
	lines    []string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Log(args ...any)  { r.lines = append(r.lines, fmt.Sprint(args...)) }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func TestNew(t *testing.T) {
	r := &recorder{TB: t}
	log := testlog.New(r).Named("dispatcher").With("task_id", "t1")
	log.Trace("placed", "node_id", "n1")
	if len(r.lines) != 1 {
		t.Fatalf("logged %d lines, want 1: %q", len(r.lines), r.lines)
	}
	for _, want := range []string{"[TRACE]", "dispatcher", "placed", "task_id=t1", "node_id=n1"} {
		if !strings.Contains(r.lines[0], want) {
			t.Errorf("line %q lacks %q", r.lines[0], want)
		}
	}
	if strings.HasSuffix(r.lines[0], "\n") {
		t.Error("the line ends with a newline, t.Log adds its own")
	}
	log.SetLevel(hclog.Error)
	log.Info("not shown")
	for _, f := range r.cleanups {
		f()
	}
	log.Error("after the end")
	if len(r.lines) != 1 {
		t.Errorf("lines after the end of the test or below the level were logged: %q", r.lines[1:])
	}
}
