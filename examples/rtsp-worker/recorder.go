package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"

	"github.com/skalds-go/skalds/examples/rtsp-worker/recording"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsp"
)

// recorder is the worker of the class RTSPRecorder. Its hooks run on the task's goroutine; the video is received and written on the
// client's, files are looked after on the janitor's.
type recorder struct {
	files    *recording.Recorder
	problems *problems
	outcomes *outcomes
	paused   bool
	cancel   context.CancelFunc // ends the client; nil while none runs
	client   sync.WaitGroup
}

var (
	_ sdk.Updater[RecorderAttachments] = (*recorder)(nil)
	_ sdk.Pauser[RecorderAttachments]  = (*recorder)(nil)
)

// Main ends only by a stop: a camera that is away, refuses or sends rubbish, and a full disk are waited for.
func (r *recorder) Main(ctx context.Context, t *sdk.Task[RecorderAttachments]) error {
	a := t.Attachments()
	dir, err := filepath.Abs(t.DataDir())
	if err != nil {
		return fmt.Errorf("find data folder: %w", err)
	}
	if err := a.validate(dir); err != nil {
		return sdk.Permanent(err)
	}
	r.problems = newProblems(func(text string) {
		if text == "" {
			t.ClearError()
		} else {
			t.Error("%s", text)
		}
	})
	r.outcomes = newOutcomes(t.Artifact, t.Log())
	if r.files, err = recording.New(a.recording(dir, t.Epoch()), observer{r.problems, r.outcomes}, t.Log().Named("recording")); err != nil {
		return sdk.Permanent(err)
	}
	running, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.files.Run(running) }) // returns nil only
	wg.Go(func() { r.outcomes.run(context.WithoutCancel(ctx)) })
	defer func() {
		cancel()
		r.stop(recording.EndStop)
		r.outcomes.close()
		wg.Wait()
	}()
	if err := r.start(ctx, t); err != nil {
		return sdk.Permanent(err)
	}
	for {
		if err := t.Sleep(ctx, time.Minute); err != nil {
			return err
		}
	}
}

// start connects to the camera.
func (r *recorder) start(ctx context.Context, t *sdk.Task[RecorderAttachments]) error {
	a := t.Attachments()
	f := &feed{task: t, files: r.files, problems: r.problems, camera: rtsp.MaskURL(a.RTSPURL), budget: a.budget()}
	c, err := rtsp.New(a.source(), f, t.Log().Named("rtsp"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // stop is the one that ends it, after the last picture
	r.cancel = cancel
	r.client.Go(func() {
		_ = c.Run(ctx) // returns nil only
		f.quiet()
	})
	return nil
}

// stop ends the client, waits for it, and ends the open file.
func (r *recorder) stop(reason string) {
	if r.cancel != nil {
		r.cancel()
		r.cancel = nil
	}
	r.client.Wait()
	r.files.Cut(reason)
}

// Update takes new attachments: lengths and bounds hold at once, an other camera or way is connected to anew.
func (r *recorder) Update(ctx context.Context, t *sdk.Task[RecorderAttachments], old RecorderAttachments) error {
	a := t.Attachments()
	if err := a.validate(t.DataDir()); err != nil {
		return err
	}
	if err := r.files.Configure(a.recording(t.DataDir(), t.Epoch())); err != nil {
		return err
	}
	if a.source() == old.source() || r.paused {
		return nil
	}
	r.stop(recording.EndUpdate)
	r.problems.set(problemCamera, "")
	return r.start(context.WithoutCancel(ctx), t)
}

// Pause lets go of the camera and ends the file; Resume begins again.
func (r *recorder) Pause(_ context.Context, _ *sdk.Task[RecorderAttachments]) error {
	r.paused = true
	r.stop(recording.EndPause)
	r.problems.set(problemCamera, "")
	return nil
}

// Resume connects again.
func (r *recorder) Resume(ctx context.Context, t *sdk.Task[RecorderAttachments]) error {
	if !r.paused {
		return nil
	}
	r.paused = false
	return r.start(context.WithoutCancel(ctx), t)
}
