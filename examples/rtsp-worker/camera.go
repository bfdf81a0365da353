package main

import (
	"context"
	"fmt"
	"reflect"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"

	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
)

// CameraAttachments are the parameters of a task of the class TestCamera. Changed faults take effect at once; a change of anything
// else starts the camera anew.
type CameraAttachments struct {
	Listen      string        `json:"listen,omitempty" jsonschema:"default=127.0.0.1:8554,description=TCP address on which the camera answers."`
	Path        string        `json:"path,omitempty" jsonschema:"default=/stream,description=Path of the stream."`
	User        string        `json:"user,omitempty" jsonschema:"description=User that is asked for; nobody is asked when empty."`
	Password    string        `json:"password,omitempty" jsonschema:"description=Password of the user."`
	Auth        string        `json:"auth,omitempty" jsonschema:"enum=digest,enum=sha256,enum=basic,default=digest,description=How user and password are asked for."`
	FPS         int           `json:"fps,omitempty" jsonschema:"minimum=1,maximum=200,default=10,description=Pictures a second."`
	Clip        string        `json:"clip,omitempty" jsonschema:"enum=320x180,enum=192x108,enum=320x180-h265,enum=192x108-h265,default=320x180,description=Which built-in clip is shown; H.264 unless its name says otherwise."`
	Sound       string        `json:"sound,omitempty" jsonschema:"enum=none,enum=aac,enum=pcmu,default=none,description=Audio beside the video: a tone in AAC or silence in G.711 (which the recorder leaves out)."`
	MaxSessions int           `json:"maxSessions,omitempty" jsonschema:"minimum=0,description=How many clients may play at a time; 0 is no bound."`
	Faults      []CameraFault `json:"faults,omitempty" jsonschema:"description=What goes wrong and when."`
}

// CameraFault is a fault and its times, counted from the start of the camera or from the update that brought it.
type CameraFault struct {
	Kind            string  `json:"kind" jsonschema:"required,enum=reset,enum=close,enum=stall,enum=novideo,enum=refuse,enum=auth,enum=params,enum=loss,enum=corrupt,enum=reorder,enum=duplicate,enum=nomarker,enum=notfound,enum=slow,enum=garbage,enum=clockjump,enum=nosound,enum=badsound,enum=soundrefuse,enum=soundhang"`
	AfterSeconds    float64 `json:"afterSeconds,omitempty" jsonschema:"minimum=0,description=Time until it happens."`
	DurationSeconds float64 `json:"durationSeconds,omitempty" jsonschema:"minimum=0,description=How long it lasts; 0 is for ever."`
	EverySeconds    float64 `json:"everySeconds,omitempty" jsonschema:"minimum=0,description=Repeats it; 0 does not."`
	Rate            float64 `json:"rate,omitempty" jsonschema:"minimum=0,maximum=1,description=Share of packets for loss and corrupt and reorder and duplicate; default 0.02."`
	DelaySeconds    float64 `json:"delaySeconds,omitempty" jsonschema:"minimum=0,description=How late a slow camera answers; default 0.3."`
}

func defaultCameraAttachments() CameraAttachments {
	return CameraAttachments{Listen: "127.0.0.1:8554", Path: "/stream", Auth: "digest", FPS: 10, Clip: "320x180", Sound: "none"}
}

func (a CameraAttachments) config() rtsptest.Config {
	return rtsptest.Config{
		Listen: a.Listen, Path: a.Path, User: a.User, Password: a.Password, Auth: a.Auth, FPS: a.FPS, Clip: a.Clip, Sound: a.Sound,
		MaxSessions: a.MaxSessions, Faults: a.faults(), Seed: uint64(time.Now().UnixNano()),
	}
}

func (a CameraAttachments) faults() []rtsptest.Fault {
	var out []rtsptest.Fault
	for _, f := range a.Faults {
		out = append(out, rtsptest.Fault{
			Kind: f.Kind, After: seconds(f.AfterSeconds), Duration: seconds(f.DurationSeconds), Every: seconds(f.EverySeconds),
			Rate: f.Rate, Delay: seconds(f.DelaySeconds),
		})
	}
	return out
}

// camera is the worker of the class TestCamera.
type camera struct {
	now  *rtsptest.Camera // nil while it could not be started
	end  func()           // ends now and waits for it
	seen int64            // pictures of now that were counted
}

var _ sdk.Updater[CameraAttachments] = (*camera)(nil)

// Main ends only by a stop: a port that is taken is waited for.
func (c *camera) Main(ctx context.Context, t *sdk.Task[CameraAttachments]) error {
	if err := t.Attachments().config().Validate(); err != nil {
		return sdk.Permanent(err)
	}
	defer func() { c.stop() }()
	failed := false
	for {
		if c.now == nil {
			if err := c.start(ctx, t); err != nil {
				failed = true
				t.Error("%v: trying again every second", err)
			} else if failed {
				failed = false
				t.ClearError()
			}
		}
		if err := t.Sleep(ctx, time.Second); err != nil {
			return err
		}
		if c.now != nil {
			sent := c.now.FramesSent()
			if sent > c.seen {
				t.AddUnits(unitFrames, sent-c.seen)
			}
			c.seen = sent
		}
	}
}

func (c *camera) start(ctx context.Context, t *sdk.Task[CameraAttachments]) error {
	cam, err := rtsptest.NewCamera(t.Attachments().config(), t.Log().Named("camera"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := cam.Run(ctx); err != nil {
			t.Log().Error("camera ended", "err", err)
		}
	}()
	c.now, c.seen = cam, 0
	c.end = func() { cancel(); <-done }
	t.Log().Info("camera answers", "address", cam.Addr(), "path", t.Attachments().Path)
	return nil
}

func (c *camera) stop() {
	if c.now != nil {
		c.end()
		c.now, c.end = nil, nil
	}
}

// Update exchanges the faults, or starts the camera anew.
func (c *camera) Update(ctx context.Context, t *sdk.Task[CameraAttachments], old CameraAttachments) error {
	a := t.Attachments()
	if err := a.config().Validate(); err != nil {
		return err
	}
	faults := a.faults()
	a.Faults, old.Faults = nil, nil
	if c.now != nil && reflect.DeepEqual(a, old) {
		return c.now.SetFaults(faults)
	}
	c.stop() // Main starts it anew if this fails, with the attachments that hold then
	if err := c.start(ctx, t); err != nil {
		return fmt.Errorf("change camera: %w", err)
	}
	return nil
}
