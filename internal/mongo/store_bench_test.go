package mongo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/mongo"
)

// The numbers are those of the server at SKALDS_TEST_MONGO: of what stands in for MongoDB here they say nothing about MongoDB.

func BenchmarkCreate(b *testing.B) {
	bench(b, func(ctx context.Context, s *mongo.Store, id string, n int64) error {
		_, _, err := s.Create(ctx, full(fmt.Sprint(id, "-", n)))
		return err
	})
}

func BenchmarkSave(b *testing.B) {
	bench(b, func(ctx context.Context, s *mongo.Store, id string, n int64) error {
		t := full(id)
		t.Revision = n + 1
		if n == 0 {
			if _, _, err := s.Create(ctx, t); err != nil {
				return err
			}
		}
		return s.Save(ctx, t)
	})
}

func BenchmarkRead(b *testing.B) {
	bench(b, func(ctx context.Context, s *mongo.Store, id string, n int64) error {
		if n == 0 {
			if _, _, err := s.Create(ctx, full(id)); err != nil {
				return err
			}
		}
		_, err := s.Task(ctx, id)
		return err
	})
}

// BenchmarkTask is what a controller writes for a task that runs once.
func BenchmarkTask(b *testing.B) {
	bench(b, func(ctx context.Context, s *mongo.Store, id string, n int64) error {
		return life(ctx, s, fmt.Sprint(id, "-", n))
	})
}

// BenchmarkStages is what a controller writes for fifty finished stages of a task, one by one and all at once.
func BenchmarkStages(b *testing.B) {
	for _, atOnce := range []int{1, 50} {
		b.Run(fmt.Sprintf("at once=%d", atOnce), func(b *testing.B) {
			bench(b, func(ctx context.Context, s *mongo.Store, id string, n int64) error {
				for i := 0; i < 50; i += atOnce {
					list := make([]skalds.Outcome, atOnce)
					for j := range list {
						list[j] = skalds.Outcome{
							OutcomeKey: skalds.OutcomeKey{TaskID: id, Epoch: n, Attempt: 1, Kind: skalds.OutcomeStage, Name: fmt.Sprint(i + j)},
							Value:      json.RawMessage(`{"n":1}`),
						}
					}
					if err := s.PutOutcome(ctx, list...); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
}

func BenchmarkUsage(b *testing.B) {
	bench(b, func(ctx context.Context, s *mongo.Store, id string, n int64) error {
		pieces := make([]controller.TaskUsage, 100)
		for i := range pieces {
			pieces[i] = controller.TaskUsage{TaskID: fmt.Sprint(id, i), Samples: []skalds.UsageSample{{At: n * 60_000, Span: 60_000}}}
		}
		return s.PutUsage(ctx, pieces)
	})
}

// bench runs do with an id for each caller, and how often that one has called it before.
func bench(b *testing.B, do func(ctx context.Context, s *mongo.Store, id string, n int64) error) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s, _ := fresh(b)
			if err := s.Ping(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.SetParallelism(callers)
			var caller atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				id, n := fmt.Sprint("task-", caller.Add(1)), int64(0)
				for ; pb.Next(); n++ {
					if err := do(b.Context(), s, id, n); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

func full(id string) *skalds.Task {
	t := task(id)
	t.Attachments = json.RawMessage(`{"rtspUrl":"rtsp://camera.example/stream/1","fixFrame":30,"segment":"1m0s"}`)
	return t
}

func life(ctx context.Context, s *mongo.Store, id string) error {
	t, _, err := s.Create(ctx, full(id))
	if err != nil {
		return err
	}
	for _, st := range []skalds.State{skalds.Assigning, skalds.Assigning, skalds.Running, skalds.Running} {
		t.LifecycleStatus, t.Executor, t.Epoch = st, "n1", 1
		if err := s.Save(ctx, t); err != nil {
			return err
		}
	}
	o := skalds.Outcome{
		OutcomeKey: skalds.OutcomeKey{TaskID: id, Epoch: 1, Attempt: 1, Kind: skalds.OutcomeExit},
		Exit:       &skalds.Attempt{TaskID: id, Epoch: 1, Attempt: 1, Node: "n1", StartedAt: 5},
	}
	if err := s.PutOutcome(ctx, o); err != nil {
		return err
	}
	o.Exit.EndedAt, o.Exit.Exit = 7, &skalds.Exit{Kind: skalds.ExitCompleted}
	if err := s.PutOutcome(ctx, o); err != nil {
		return err
	}
	t.LifecycleStatus, t.EndedAt = skalds.Finished, 7
	return s.Save(ctx, t)
}
