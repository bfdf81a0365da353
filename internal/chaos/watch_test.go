//go:build linux

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/history"
)

// listen records what a controller tells of tasks and passes it on, until ctx ends. A stream that breaks is taken up where it broke; an
// event without a task says that some are missing, so that everything has to be read again.
func (c *cluster) listen(ctx context.Context, cl *client.Client, heard func(history.Event)) {
	last := ""
	for ctx.Err() == nil {
		_ = cl.Events(ctx, client.ListenTo{Tasks: true, After: last}, func(e client.Event) error { // it is tried again
			if e.ID != "" {
				last = e.ID
			}
			if e.Type == "reset" {
				c.note("events of %s have a gap", cl.Server())
				heard(history.Event{})
				return nil
			}
			var d api.TaskStatusData
			if e.Type != "task_status" || json.Unmarshal(e.Data, &d) != nil {
				return nil
			}
			seen := history.Event{
				Kind: history.Stored, Task: e.TaskID, Revision: d.Revision, State: d.LifecycleStatus, Epoch: d.Epoch, Node: d.Executor,
			}
			heard(seen)
			return c.rec.Add(seen)
		})
		wait(ctx, 200*time.Millisecond)
	}
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// census finds the processes of tasks. What a process is for it has written into the history itself.
type census struct {
	c      *cluster
	read   int64                 // bytes of the history
	rest   []byte                // a line that was not whole
	newest map[int]history.Event // pid → its last beginning
	booted int64                 // ns since epoch
}

func newCensus(c *cluster) *census {
	s := &census{c: c, newest: map[int]history.Event{}}
	b, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "btime "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			s.booted = n * int64(time.Second)
		}
	}
	return s
}

// run records the processes of tasks every two seconds, until ctx ends.
func (s *census) run(ctx context.Context) {
	for ctx.Err() == nil {
		s.record()
		wait(ctx, 2*time.Second)
	}
}

// record records who is alive, and returns how many there are.
func (s *census) record() (n int) {
	alive := workers()
	s.catchUp()
	for _, p := range alive {
		e, ok := s.newest[p.pid]
		const perTick = int64(time.Second) / 100
		ticks, _ := strconv.ParseInt(p.started, 10, 64)
		if !ok || s.booted+ticks*perTick > e.At+int64(2*time.Second) { // one that is kept ready, perhaps with the pid of another
			continue
		}
		if !p.lives() {
			continue
		}
		n++
		_ = s.c.rec.Add(history.Event{Kind: history.Seen, Task: e.Task, Epoch: e.Epoch, PID: p.pid}) // Close tells
	}
	return n
}

// catchUp reads what has been written since.
func (s *census) catchUp() {
	f, err := os.Open(filepath.Join(s.c.dir, "history.jsonl"))
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it is only read
	b, err := io.ReadAll(io.NewSectionReader(f, s.read, 1<<40))
	if err != nil {
		return
	}
	s.read += int64(len(b))
	b = append(s.rest, b...)
	whole := bytes.LastIndexByte(b, '\n') + 1
	s.rest = bytes.Clone(b[whole:])
	began := []byte(`"kind":"` + string(history.Began) + `"`)
	for line := range bytes.Lines(b[:whole]) {
		var e history.Event
		if bytes.Contains(line, began) && json.Unmarshal(line, &e) == nil {
			s.newest[e.PID] = e
		}
	}
}
