package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

// Version of the worker; a host keeps several side by side.
const version = "0.1.0"

// Attachments are what a task says.
type Attachments struct {
	JobID          string    `json:"jobId" jsonschema:"required,minLength=1,description=names the job in logs and results"`
	Retries        int       `json:"retries,omitempty" jsonschema:"minimum=0,maximum=100,description=how often a failing sub-task is tried again"`
	EnableFeatureX bool      `json:"enable_feature_x,omitempty" jsonschema:"description=adds a last step; may be switched while the task runs"`
	SubTasks       []SubTask `json:"sub_tasks" jsonschema:"required,description=done in this order"`
}

// SubTask is one step of the job.
type SubTask struct {
	Name       string  `json:"name" jsonschema:"required,minLength=1"`
	Duration   float64 `json:"duration,omitempty" jsonschema:"minimum=0,description=seconds"`
	FailChance float64 `json:"fail_chance,omitempty" jsonschema:"minimum=0,maximum=1"`
}

// Report is the task's result.
type Report struct {
	JobID    string        `json:"jobId"`
	SubTasks []SubReport   `json:"subTasks"`
	FeatureX bool          `json:"featureX"`
	Took     time.Duration `json:"tookNanos"`
}

// SubReport tells how a sub-task went.
type SubReport struct {
	Name  string `json:"name"`
	Tries int    `json:"tries"`
}

// Worker does sub-tasks. chance gives numbers in [0, 1).
type Worker struct{ chance func() float64 }

// Before refuses what cannot be done, once and for all.
func (w *Worker) Before(_ context.Context, t *sdk.Task[Attachments]) error {
	a := t.Attachments()
	if len(a.SubTasks) == 0 {
		return sdk.Permanent(errors.New("no sub-tasks configured"))
	}
	seen := map[string]bool{}
	for _, s := range a.SubTasks {
		if seen[s.Name] {
			return sdk.Permanent(fmt.Errorf("two sub-tasks are named %q", s.Name))
		}
		seen[s.Name] = true
	}
	return nil
}

// Main does the sub-tasks in order. Each is a stage: when an attempt dies, the next one goes on where it was.
func (w *Worker) Main(ctx context.Context, t *sdk.Task[Attachments]) error {
	a, began := t.Attachments(), time.Now()
	report := Report{JobID: a.JobID}
	for i, s := range a.SubTasks {
		done, err := w.subTask(ctx, t, s, a.Retries)
		if err != nil {
			return err
		}
		report.SubTasks = append(report.SubTasks, done)
		t.Progress(float64(i+1) / float64(len(a.SubTasks)) * 100)
	}
	if t.Attachments().EnableFeatureX { // as it is now, not as it was when the task began
		err := t.Stage(ctx, "feature-x", func(context.Context) error {
			t.Log().Info("feature X runs", "job_id", a.JobID)
			return nil
		})
		if err != nil {
			return err
		}
		report.FeatureX = true
	}
	report.Took = time.Since(began)
	return t.Result(report)
}

func (w *Worker) subTask(ctx context.Context, t *sdk.Task[Attachments], s SubTask, retries int) (SubReport, error) {
	tries := 0
	return sdk.StageValue(ctx, t, s.Name, func(ctx context.Context) (SubReport, error) {
		tries++
		if err := t.Sleep(ctx, time.Duration(s.Duration*float64(time.Second))); err != nil {
			return SubReport{}, err
		}
		if w.chance() < s.FailChance {
			return SubReport{}, errors.New("bad luck")
		}
		return SubReport{Name: s.Name, Tries: tries}, nil
	}, sdk.StageRetry(retries, 50*time.Millisecond))
}

// OnError hears of every attempt that fails.
func (w *Worker) OnError(_ context.Context, t *sdk.Task[Attachments], err error) {
	t.Log().Warn("the attempt failed", "job_id", t.Attachments().JobID, "err", err)
}

func class() sdk.ClassDef {
	return sdk.Class("ComplexWorker", func() sdk.Worker[Attachments] { return &Worker{chance: rand.Float64} },
		sdk.Describe("does sub-tasks in order, each with retries"),
		sdk.Resources(0.1, 32<<20))
}

func main() { sdk.Serve("complex-worker", version, class()) }
