package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/sdktest"
)

// quick is the class with short rounds.
func quick(rounds int) sdk.ClassDef {
	return sdk.Class("MyWorker", func() sdk.Worker[Attachments] { return &Worker{period: 5 * time.Millisecond, rounds: rounds} })
}

func TestRunsToItsEnd(t *testing.T) {
	task := sdktest.Run(t, quick(3), Attachments{RTSPURL: "rtsp://user:hidden@192.168.1.1/camera1", FixFrame: 10})
	if end := task.Wait(); end.Kind != protocol.FinishedCompleted {
		t.Fatalf("ended by %+v", end)
	}
	if p := task.Progress(); p.Percent != 100 || p.Units != 30 || p.Unit != "frames" {
		t.Errorf("progress %+v", p)
	}
	if log := task.Log(); strings.Contains(log, "hidden") || !strings.Contains(log, "user:xxxxx@192.168.1.1") {
		t.Errorf("the password is not masked in the log:\n%s", log)
	}
}

func TestHotUpdate(t *testing.T) {
	task := sdktest.Run(t, quick(1_000_000), Attachments{RTSPURL: "rtsp://cam/1", FixFrame: 1})
	task.WaitUnits(1)
	if err := task.Update(Attachments{RTSPURL: "rtsp://cam/1", FixFrame: 240}); err != nil {
		t.Fatal(err)
	}
	task.WaitUnits(task.Progress().Units + 240)
	if err := task.Update(map[string]any{"rtspUrl": "rtsp://cam/1", "fixFrame": 0}); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("a frame number of zero: %v", err)
	}
	if end := task.Stop(); end.Kind != protocol.FinishedStopped {
		t.Errorf("ended by %+v", end)
	}
}

func TestShippedClass(t *testing.T) {
	task := sdktest.Run(t, class(), Attachments{RTSPURL: "rtsp://cam/1", FixFrame: 30})
	task.WaitUnits(30)
	if got := task.Class().ClassName; got != "MyWorker" {
		t.Errorf("class %s", got)
	}
}
