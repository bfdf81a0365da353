package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/sqlite"
)

func openStore(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(filepath.Join(t.TempDir(), "skalds.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func task(id string, at int64) *skalds.Task {
	return &skalds.Task{
		Spec: skalds.Spec{
			ID: id, ClassName: "Recorder", Name: id, Mode: skalds.ModePassive, CreateDateTime: at,
			Attachments: json.RawMessage(`{"rtspUrl":"rtsp://camera.example/stream/1","fixFrame":30,"segment":"1m0s"}`),
		},
		LifecycleStatus: skalds.Created, UpdateDateTime: at, QueuedAt: at, Desired: skalds.DesiredRunning,
	}
}

// life takes a task through what a controller writes for one that runs once: five compare-and-sets, an attempt's start
// and end. Its creation and its end are durable.
func life(ctx context.Context, s *sqlite.Store, id string, at int64) error {
	t, _, err := s.Create(ctx, task(id, at))
	if err != nil {
		return err
	}
	for _, st := range []skalds.State{skalds.Assigning, skalds.Assigning, skalds.Running, skalds.Running} {
		t.LifecycleStatus, t.Executor, t.Epoch, t.UpdateDateTime = st, "n1", 1, at+1
		if err := s.Save(ctx, t); err != nil {
			return err
		}
	}
	o := skalds.Outcome{
		OutcomeKey: skalds.OutcomeKey{TaskID: id, Epoch: 1, Attempt: 1, Kind: skalds.OutcomeExit},
		Exit:       &skalds.Attempt{TaskID: id, Epoch: 1, Attempt: 1, Node: "n1", StartedAt: at},
	}
	if err := s.PutOutcome(ctx, o); err != nil {
		return err
	}
	o.Exit.EndedAt, o.Exit.Exit = at+2, &skalds.Exit{Kind: skalds.ExitCompleted}
	if err := s.PutOutcome(ctx, o); err != nil {
		return err
	}
	t.LifecycleStatus, t.EndedAt = skalds.Finished, at+2
	return s.Save(ctx, t)
}

func BenchmarkCreate(b *testing.B) {
	for _, parallel := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", parallel), func(b *testing.B) {
			s := openStore(b)
			var n atomic.Int64
			run(b, parallel, func() error {
				i := n.Add(1)
				_, _, err := s.Create(b.Context(), task(fmt.Sprintf("task-%08d", i), i))
				return err
			})
		})
	}
}

func BenchmarkLife(b *testing.B) {
	for _, parallel := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", parallel), func(b *testing.B) {
			s := openStore(b)
			var n atomic.Int64
			run(b, parallel, func() error {
				i := n.Add(1)
				return life(b.Context(), s, fmt.Sprintf("task-%08d", i), i)
			})
		})
	}
}

func BenchmarkSave(b *testing.B) {
	s := openStore(b)
	t, _, err := s.Create(b.Context(), task("one", 1))
	if err != nil {
		b.Fatal(err)
	}
	t.LifecycleStatus = skalds.Running
	run(b, 1, func() error { return s.Save(b.Context(), t) })
}

// BenchmarkPutUsage keeps a minute of 10,000 tasks, 1,000 in each transaction.
func BenchmarkPutUsage(b *testing.B) {
	s := openStore(b)
	const tasks, chunk = 10_000, 1000
	minute := int64(30_000_000)
	b.ReportAllocs()
	for b.Loop() {
		minute++
		for first := 0; first < tasks; first += chunk {
			pieces := make([]controller.TaskUsage, chunk)
			for i := range pieces {
				pieces[i] = controller.TaskUsage{TaskID: fmt.Sprintf("task-%08d", first+i), Samples: []skalds.UsageSample{{
					At: minute * 60_000, Span: 60_000, Usage: skalds.Usage{CPUCores: 0.25, MemoryBytes: 64 << 20}, Peak: skalds.Usage{CPUCores: 0.5, MemoryBytes: 70 << 20},
				}}}
			}
			if err := s.PutUsage(b.Context(), pieces); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkTask(b *testing.B) {
	s := openStore(b)
	if _, _, err := s.Create(b.Context(), task("one", 1)); err != nil {
		b.Fatal(err)
	}
	run(b, 1, func() error {
		_, err := s.Task(b.Context(), "one")
		return err
	})
}

// run spreads b.N calls over callers and reports how many were done per second.
func run(b *testing.B, callers int, call func() error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, callers)
	for range callers {
		go func() {
			for left.Add(-1) >= 0 {
				if err := call(); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
