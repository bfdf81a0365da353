package main

import (
	"errors"
	"fmt"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/recording"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsp"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// feed takes what the client receives, a piece at a time: pictures and sound go to the files,
// pictures count as progress.
type feed struct {
	task     *sdk.Task[RecorderAttachments]
	files    *recording.Recorder
	problems *problems
	camera   string // masked
	budget   time.Duration
	live     bool
}

// unitFrames is what a recorder's progress counts.
const unitFrames = "frames"

// Began makes the first file ready for sound.
func (f *feed) Began(sound *aac.Config) { f.files.Expect(sound, time.Now()) }

// Unit promises, from the first picture of a connection on, that more will follow in time: a worker that hangs is found out.
func (f *feed) Unit(u video.Unit) {
	f.files.Unit(u, time.Now())
	if !f.live {
		f.live = true
		f.task.Promise(unitFrames, f.budget)
		f.problems.set(problemCamera, "")
	}
	f.task.AddUnits(unitFrames, 1)
}

// Sound goes to the files and promises nothing: only pictures count.
func (f *feed) Sound(frame aac.Frame) { f.files.Sound(frame, time.Now()) }

// Ended withdraws the promise: a camera that is away is no fault of this worker.
func (f *feed) Ended(state rtsp.State, err error, _ time.Duration) {
	f.quiet()
	f.files.Cut(recording.EndReconnect)
	hint := "trying again"
	var status *rtsp.StatusError
	switch {
	case state == rtsp.AuthFailed:
		hint = "check user and password in rtspUrl; trying again once a minute only, because fast tries can lock a camera"
	case errors.Is(err, rtsp.ErrNoVideo):
		hint = "let the camera send H.264 or H.265; trying again"
	case errors.As(err, &status) && status.Code == 404:
		hint = "check the path in rtspUrl; trying again"
	}
	f.problems.set(problemCamera, fmt.Sprintf("no video from camera %s: %v: %s", f.camera, err, hint))
}

// quiet withdraws the promise.
func (f *feed) quiet() {
	if f.live {
		f.live = false
		f.task.Promise(unitFrames, 0)
	}
}
