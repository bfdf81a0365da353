package sdktest_test

import (
	"context"
	"testing"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/sdktest"
)

type clock struct {
	Every string `json:"every,omitempty"`
}

type ticker struct{}

func (ticker) Main(ctx context.Context, t *sdk.Task[clock]) error {
	every, err := time.ParseDuration(t.Attachments().Every)
	if err != nil {
		return sdk.Permanent(err)
	}
	for {
		t.AddUnits("ticks", 1)
		if err := t.Sleep(ctx, every); err != nil {
			return err
		}
	}
}

// A worker's test starts a task, waits for what it should do, and stops it.
func ExampleRun() {
	class := sdk.Class("Ticker", func() sdk.Worker[clock] { return ticker{} })
	testTicker := func(t *testing.T) {
		task := sdktest.Run(t, class, clock{Every: "1ms"})
		task.WaitUnits(3)
		if end := task.Stop(); end.Kind != protocol.FinishedStopped {
			t.Errorf("ended by %+v", end)
		}
	}
	_ = testTicker // in a real test file this is func TestTicker
}

func TestExample(t *testing.T) {
	class := sdk.Class("Ticker", func() sdk.Worker[clock] { return ticker{} })
	task := sdktest.Run(t, class, clock{Every: "1ms"})
	task.WaitUnits(3)
	if end := task.Stop(); end.Kind != protocol.FinishedStopped {
		t.Errorf("ended by %+v", end)
	}
	if end := sdktest.Run(t, class, clock{Every: "often"}).Wait(); !end.Permanent {
		t.Errorf("ended by %+v", end)
	}
}

// The task is left running: Run's clean-up stops it.
func TestCleanUpStops(t *testing.T) {
	var task *sdktest.Task
	t.Run("inner", func(t *testing.T) {
		task = sdktest.Run(t, sdk.Class("Ticker", func() sdk.Worker[clock] { return ticker{} }), clock{Every: "1h"})
		task.WaitStarted()
	})
	if end := task.Wait(); end.Kind != protocol.FinishedStopped {
		t.Errorf("ended by %+v", end)
	}
}
