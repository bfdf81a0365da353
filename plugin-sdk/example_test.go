package sdk_test

import (
	"context"
	"fmt"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// Camera is what a task says about its camera.
type Camera struct {
	URL    string `json:"rtspUrl" jsonschema:"required,description=where the stream is"`
	Frames int    `json:"fixFrame,omitempty" jsonschema:"minimum=1"`
}

// Watcher is a worker with one hook besides Main.
type Watcher struct{}

// Main counts frames until it is stopped.
func (Watcher) Main(ctx context.Context, t *sdk.Task[Camera]) error {
	t.Promise("frames", 5*time.Second) // fewer: the host ends the attempt and starts another
	for {
		t.AddUnits("frames", int64(t.Attachments().Frames))
		if err := t.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// Update is asked before Main sees the new value.
func (Watcher) Update(_ context.Context, t *sdk.Task[Camera], old Camera) error {
	if t.Attachments().URL != old.URL {
		return fmt.Errorf("the camera cannot be changed while it is watched")
	}
	return nil
}

func ExampleServe() {
	// The whole main of a worker:
	main := func() {
		sdk.Serve("watcher", "1.0.0",
			sdk.Class("Watcher", func() sdk.Worker[Camera] { return Watcher{} },
				sdk.Describe("watches a camera"),
				sdk.Resources(0.2, 64<<20),
				sdk.Limits(1, 256<<20, 0)))
	}
	_ = main
}

func ExampleNewWorker() {
	w, err := sdk.NewWorker("watcher", "1.0.0", nil, nil,
		sdk.Class("Watcher", func() sdk.Worker[Camera] { return Watcher{} }, sdk.Describe("watches a camera")))
	if err != nil {
		fmt.Println(err)
		return
	}
	d, _ := w.Describe(context.Background(), protocol.DescribeRequest{})
	for _, c := range d.Classes {
		fmt.Println(d.Name, d.Version, c.ClassName, "-", c.Description, c.Capabilities)
	}
	// Output: watcher 1.0.0 Watcher - watches a camera [update]
}

// A stage that has finished is not run again when a later attempt takes over.
func ExampleStageValue() {
	main := func(ctx context.Context, t *sdk.Task[Camera]) error {
		path, err := sdk.StageValue(ctx, t, "download", func(ctx context.Context) (string, error) {
			return "clip.mp4", sdk.Command(ctx, "curl", "-o", "clip.mp4", t.Attachments().URL).Run()
		}, sdk.StageRetry(3, time.Second))
		if err != nil {
			return err
		}
		return t.Result(map[string]string{"file": path})
	}
	_ = main
}
