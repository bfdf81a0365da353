//go:build linux

package scale

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/client"
)

// figures are those of one size.
type figures struct {
	Nodes         int     `json:"nodes"`
	Tasks         int     `json:"tasks"`
	JoinS         float64 `json:"joinS"`         // until the controller shows all nodes, from the first start on
	IdleCores     float64 `json:"idleCores"`     // of the controller, without tasks
	CreatedPerS   float64 `json:"createdPerS"`   // tasks created and begun per second, 64 at a time
	FillCores     float64 `json:"fillCores"`     // of the controller meanwhile
	FillP50MS     float64 `json:"fillP50Ms"`     // from a request until its task has begun, meanwhile
	FillP99MS     float64 `json:"fillP99Ms"`     //
	FleetCores    float64 `json:"fleetCores"`    // of this process, which is all nodes, meanwhile
	BusyCores     float64 `json:"busyCores"`     // of the controller, while all tasks run and nothing changes
	HeartbeatUS   float64 `json:"heartbeatUs"`   // that is, of CPU per heartbeat
	BeatsPerS     float64 `json:"beatsPerS"`     // that came through meanwhile
	BeatsRefused  int64   `json:"beatsRefused"`  // that did not
	UniqueMB      float64 `json:"uniqueMb"`      // memory of the controller alone, MiB, then
	MostMB        float64 `json:"mostMb"`        // the most resident memory that it ever had, MiB
	AnswerP50MS   float64 `json:"answerP50Ms"`   // from a request until it is answered, 20 a second, beside the running ones
	DispatchP50MS float64 `json:"dispatchP50Ms"` // and until its task has begun
	DispatchP95MS float64 `json:"dispatchP95Ms"`
	DispatchP99MS float64 `json:"dispatchP99Ms"`
	ListNodesMS   float64 `json:"listNodesMs"` // GET /api/nodes/, all
	ListTasksMS   float64 `json:"listTasksMs"` // GET /api/tasks/, a page of 100
	Load          float64 `json:"load"`        // average of the last minute
}

// plan is how long to look.
type plan struct {
	nodes, tasksEach int
	look             time.Duration
	pour             time.Duration
}

// measure has a cluster of its own.
func measure(t *testing.T, s services, p plan) (out figures) {
	t.Helper()
	c := startControl(t, s)
	begun := time.Now()
	f := startFleet(t, s, p.nodes)
	until(t, "all nodes are online", func(ctx context.Context) bool {
		stats, err := c.NodeStatistics(ctx)
		return err == nil && stats.OnlineSkalds == p.nodes
	})
	out = figures{Nodes: p.nodes, Tasks: p.nodes * p.tasksEach, JoinS: time.Since(begun).Seconds()}
	time.Sleep(p.look / 3) // what nodes said of themselves is digested
	out.IdleCores, _, _ = watchFor(t, c, f, p.look)

	l := &load{t: t, c: c, f: f}
	before, ours := c.cpu(t), own(t)
	filled := l.fill(out.Tasks)
	out.FillCores, out.FleetCores = (c.cpu(t)-before).Seconds()/filled.span.Seconds(), (own(t)-ours).Seconds()/filled.span.Seconds()
	out.CreatedPerS = float64(len(filled.took)) / filled.span.Seconds()
	out.FillP50MS, out.FillP99MS = quantile(filled.took, 50), quantile(filled.took, 99)
	until(t, "all tasks run", func(ctx context.Context) bool {
		sum, err := c.Summary(ctx)
		return err == nil && sum.RunningTasks == out.Tasks
	})

	var beats float64
	out.BusyCores, beats, out.BeatsRefused = watchFor(t, c, f, p.look)
	out.BeatsPerS, out.HeartbeatUS = beats, out.BusyCores/beats*1e6
	out.UniqueMB, _ = c.memory(t)

	poured := l.pour(20, p.pour)
	out.AnswerP50MS = quantile(poured.answered, 50)
	out.DispatchP50MS, out.DispatchP95MS, out.DispatchP99MS = quantile(poured.took, 50), quantile(poured.took, 95), quantile(poured.took, 99)
	out.ListNodesMS, out.ListTasksMS = lists(t, c)
	_, out.MostMB = c.memory(t)
	out.Load = loadAverage(t)
	if n := f.twice(); n > 0 {
		t.Errorf("%d processes were started of tasks that ran already", n)
	}
	return out
}

// watchFor looks at the controller for a while: cores used, heartbeats per second, and how many were refused.
func watchFor(t *testing.T, c *control, f *fleet, d time.Duration) (cores, beats float64, refused int64) {
	t.Helper()
	cpu, sent, not, begun := c.cpu(t), f.sent.Load(), f.refused.Load(), time.Now()
	time.Sleep(d) // which is what is measured
	length := time.Since(begun).Seconds()
	return (c.cpu(t) - cpu).Seconds() / length, float64(f.sent.Load()-sent) / length, f.refused.Load() - not
}

// lists is how long two lists of the page take, in milliseconds: the best of five.
func lists(t *testing.T, c *control) (nodes, tasks float64) {
	t.Helper()
	best := func(what string, fn func(ctx context.Context) error) float64 {
		took := time.Duration(1 << 62)
		for range 5 {
			begun := time.Now()
			if err := fn(t.Context()); err != nil {
				t.Errorf("list the %s: %v", what, err)
			}
			took = min(took, time.Since(begun))
		}
		return took.Seconds() * 1000
	}
	nodes = best("nodes", func(ctx context.Context) error { _, err := c.Nodes(ctx, "", ""); return err })
	tasks = best("tasks", func(ctx context.Context) error {
		_, err := c.Tasks(ctx, client.ListTasks{PageSize: 100})
		return err
	})
	return nodes, tasks
}

// own is the CPU that this process has used.
func own(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func loadAverage(t *testing.T) float64 {
	t.Helper()
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(b), " ")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
