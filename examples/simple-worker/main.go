package main

import (
	"context"
	"net/url"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

// Version of the worker; a host keeps several side by side.
const version = "0.1.0"

// Attachments are what a task says: the json tags are the names in YAML, REST and the store.
type Attachments struct {
	RTSPURL  string `json:"rtspUrl" jsonschema:"required,minLength=1,description=RTSP stream URL"`
	FixFrame int    `json:"fixFrame" jsonschema:"required,minimum=1,maximum=240,description=Fix frame number"`
}

// Worker looks at its attachments once a period. One is made for every task.
type Worker struct {
	period time.Duration
	rounds int
}

// New makes a worker that runs for five minutes.
func New() *Worker { return &Worker{period: time.Second, rounds: 300} }

// Before runs once, ahead of Main.
func (w *Worker) Before(_ context.Context, t *sdk.Task[Attachments]) error {
	t.Log().Info("starting", "rtsp_url", masked(t.Attachments().RTSPURL))
	return nil
}

// Main does the work.
func (w *Worker) Main(ctx context.Context, t *sdk.Task[Attachments]) error {
	for i := range w.rounds {
		a := t.Attachments()
		t.Log().Info("running", "rtsp_url", masked(a.RTSPURL), "fix_frame", a.FixFrame)
		t.AddUnits("frames", int64(a.FixFrame))
		t.Progress(float64(i+1) / float64(w.rounds) * 100)
		if err := t.Sleep(ctx, w.period); err != nil { // updates arrive here; ends early when the task is stopped
			return err
		}
	}
	return nil
}

// Update runs while Main sleeps, whenever the attachments are changed.
func (w *Worker) Update(_ context.Context, t *sdk.Task[Attachments], old Attachments) error {
	t.Log().Info("updated", "from_fix_frame", old.FixFrame, "to_fix_frame", t.Attachments().FixFrame)
	return nil
}

// masked hides the password of a camera's address.
func masked(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(no valid address)"
	}
	return u.Redacted()
}

func class() sdk.ClassDef {
	return sdk.Class("MyWorker", func() sdk.Worker[Attachments] { return New() },
		sdk.Describe("looks at a camera's address and frame number every second"),
		sdk.Resources(0.05, 16<<20))
}

func main() { sdk.Serve("simple-worker", version, class()) }
