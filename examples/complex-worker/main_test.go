package main

import (
	"errors"
	"strings"
	"testing"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/sdktest"
)

// with is the class with a die that shows these numbers, then ones that never fail.
func with(die ...float64) sdk.ClassDef {
	return sdk.Class("ComplexWorker", func() sdk.Worker[Attachments] {
		return &Worker{chance: func() float64 {
			if len(die) == 0 {
				return 0.999
			}
			v := die[0]
			die = die[1:]
			return v
		}}
	})
}

func job() Attachments {
	return Attachments{JobID: "job-12345", Retries: 2, EnableFeatureX: true, SubTasks: []SubTask{
		{Name: "Download Data", Duration: 0.005, FailChance: 0.2},
		{Name: "Process Data", Duration: 0.005, FailChance: 0.1},
	}}
}

func TestDoesItsSubTasksWithRetries(t *testing.T) {
	task := sdktest.Run(t, with(0.1, 0.1, 0.5), job()) // two failures, then luck
	if end := task.Wait(); end.Kind != protocol.FinishedCompleted {
		t.Fatalf("ended by %+v", end)
	}
	var r Report
	task.Result(&r)
	if r.JobID != "job-12345" || !r.FeatureX || len(r.SubTasks) != 2 || r.SubTasks[0] != (SubReport{"Download Data", 3}) || r.SubTasks[1] != (SubReport{"Process Data", 1}) {
		t.Errorf("report %+v", r)
	}
	if p := task.Progress(); p.Percent != 100 {
		t.Errorf("progress %+v", p)
	}
}

func TestTheNextAttemptDoesNotRepeatWhatIsDone(t *testing.T) {
	first := sdktest.Run(t, with(0.5, 0, 0, 0), job()) // the second sub-task fails to the end
	end := first.Wait()
	if end.Kind != protocol.FinishedError || end.Permanent || !strings.Contains(end.Message, "stage Process Data: bad luck") {
		t.Fatalf("ended by %+v", end)
	}
	second := sdktest.Run(t, with(0.5), job(), sdktest.Options{Attempt: 2, Stages: first.Stages()})
	if end := second.Wait(); end.Kind != protocol.FinishedCompleted {
		t.Fatalf("ended by %+v", end)
	}
	if _, again := second.Stages()["Download Data"]; again {
		t.Error("the first sub-task was done again")
	}
	var r Report
	if second.Result(&r); len(r.SubTasks) != 2 {
		t.Errorf("report %+v", r)
	}
}

func TestFeatureIsSwitchedWhileItRuns(t *testing.T) {
	a := job()
	a.EnableFeatureX, a.SubTasks[1].Duration = false, 600
	task := sdktest.Run(t, with(), a)
	task.WaitFor("first sub-task", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventStageFinished })
	a.EnableFeatureX = true
	if err := task.Update(a); err != nil {
		t.Fatal(err)
	}
	if end := task.Stop(); end.Kind != protocol.FinishedStopped {
		t.Errorf("ended by %+v", end)
	}
}

func TestWrongJobs(t *testing.T) {
	none := job()
	none.SubTasks = []SubTask{}
	twice := job()
	twice.SubTasks[1].Name = twice.SubTasks[0].Name
	for want, a := range map[string]Attachments{"no sub-tasks configured": none, "two sub-tasks are named": twice} {
		end := sdktest.Run(t, class(), a).Wait()
		if end.Kind != protocol.FinishedError || !end.Permanent || end.Hook != "Before" || !strings.Contains(end.Message, want) {
			t.Errorf("ended by %+v, want %q", end, want)
		}
	}
	task := sdktest.Run(t, class(), Attachments{JobID: "j", SubTasks: []SubTask{{Name: "long", Duration: 600}}})
	if err := task.Update(map[string]any{"jobId": "j", "sub_tasks": []any{map[string]any{"name": "a", "fail_chance": 2}}}); !errors.Is(err, protocol.ErrRefused) || !strings.Contains(err.Error(), "sub_tasks.0.fail_chance") {
		t.Errorf("a chance of two: %v", err)
	}
}
