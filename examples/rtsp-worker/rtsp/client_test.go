package rtsp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsp"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// secret holds characters that a careless address would trip over.
const secret = "s3cret/@:? %w"

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

// watcher is a Handler that remembers.
type watcher struct {
	mu    sync.Mutex
	began []*aac.Config
	units []video.Unit
	sound []aac.Frame
	ends  []error
	until []int // number of units at each end
	state []rtsp.State
	log   bytes.Buffer
}

func (w *watcher) Began(sound *aac.Config) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = append(w.began, sound)
}

func (w *watcher) Unit(u video.Unit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.units = append(w.units, u)
}

func (w *watcher) Sound(f aac.Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sound = append(w.sound, f)
}

func (w *watcher) Ended(state rtsp.State, err error, _ time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends, w.state, w.until = append(w.ends, err), append(w.state, state), append(w.until, len(w.units))
}

// Write takes the client's log.
func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *watcher) count() (units, ends int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.units), len(w.ends)
}

// firstEnd is the number of pictures of the first connection, which has ended.
func (w *watcher) firstEnd() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.until[0]
}

func (w *watcher) snapshot() ([]video.Unit, []error, []rtsp.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]video.Unit(nil), w.units...), append([]error(nil), w.ends...), append([]rtsp.State(nil), w.state...)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func startCamera(t *testing.T, cfg rtsptest.Config) *rtsptest.Camera {
	t.Helper()
	if cfg.FPS == 0 {
		cfg.FPS = 50
	}
	cfg.Seed = 7
	cam, err := rtsptest.NewCamera(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cam.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("camera: %v", err)
		}
	})
	return cam
}

// startClient runs a client until the test ends and then looks for the password in all that it said.
func startClient(t *testing.T, cfg rtsp.Config) (*rtsp.Client, *watcher) {
	t.Helper()
	w := &watcher{}
	if cfg.Watchdog == 0 {
		cfg.Watchdog = time.Second
	}
	cfg.FirstPicture, cfg.BackoffMin, cfg.BackoffMax = cfg.Watchdog, 20*time.Millisecond, 200*time.Millisecond
	c, err := rtsp.New(cfg, w, hclog.New(&hclog.LoggerOptions{Output: w, Level: hclog.Trace}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("client: %v", err)
		}
		_, ends, _ := w.snapshot()
		said := w.log.String() + fmt.Sprint(ends)
		for _, s := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()} {
			if strings.Contains(said, s) {
				t.Errorf("the password was shown: %s", said)
			}
		}
	})
	return c, w
}

func TestReceives(t *testing.T) {
	t.Parallel()
	for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
		for name, cfg := range map[string]rtsptest.Config{
			"open":   {},
			"digest": {Auth: "digest", User: "user", Password: secret},
			"sha256": {Auth: "sha256", User: "user", Password: secret},
			"basic":  {Auth: "basic", User: "user", Password: secret},
			"h265":   {Clip: "320x180-h265"},
		} {
			t.Run(string(transport)+" "+name, func(t *testing.T) {
				t.Parallel()
				codec := video.H264
				if name == "h265" {
					codec = video.H265
				}
				cam := startCamera(t, cfg)
				c, w := startClient(t, rtsp.Config{URL: cam.URL(), Transport: transport, ReportInterval: 20 * time.Millisecond})
				eventually(t, "40 pictures", func() bool { n, _ := w.count(); return n >= 40 })
				eventually(t, "a receiver report", func() bool { return cam.Reports() > 0 })
				units, ends, _ := w.snapshot()
				if len(ends) != 0 {
					t.Fatalf("connections ended: %v", ends)
				}
				if !units[0].Key || units[0].Params == nil || units[0].Params.Codec != codec || units[0].Params.Width != 320 || units[0].Params.Height != 180 {
					t.Errorf("first unit: key %v, params %+v", units[0].Key, units[0].Params)
				}
				for i := 1; i < len(units); i++ {
					if d := units[i].Time - units[i-1].Time; d != video.ClockRate/50 {
						t.Fatalf("picture %d came %d ticks after the one before, want %d", i, d, video.ClockRate/50)
					}
				}
				if s := c.Status(); s.State != rtsp.Receiving || s.Connects != 1 || s.Stats.DroppedUnits != 0 {
					t.Errorf("status: %+v", s)
				}
			})
		}
	}
}

// TestBreaks injects faults after which the client must receive again by itself, in a new connection.
func TestBreaks(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		fault rtsptest.Fault
		why   func(error) bool
	}{
		{rtsptest.Fault{Kind: rtsptest.FaultReset}, nil},
		{rtsptest.Fault{Kind: rtsptest.FaultClose}, nil},
		{rtsptest.Fault{Kind: rtsptest.FaultRefuse, Duration: 500 * time.Millisecond}, nil},
		{rtsptest.Fault{Kind: rtsptest.FaultStall, Duration: 1500 * time.Millisecond}, func(err error) bool { return errors.Is(err, rtsp.ErrWatchdog) }},
		{rtsptest.Fault{Kind: rtsptest.FaultNoVideo, Duration: 1500 * time.Millisecond}, func(err error) bool { return errors.Is(err, rtsp.ErrWatchdog) }},
		{rtsptest.Fault{Kind: rtsptest.FaultGarbage}, func(err error) bool { return errors.Is(err, rtsp.ErrFraming) }},
		{rtsptest.Fault{Kind: rtsptest.FaultNoMarker}, func(err error) bool { return errors.Is(err, rtsp.ErrWatchdog) }},
	} {
		for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
			if transport == rtsp.UDP && f.fault.Kind == rtsptest.FaultGarbage {
				continue // nothing is interleaved
			}
			for _, clip := range []string{"320x180", "320x180-h265"} {
				t.Run(f.fault.Kind+" "+string(transport)+" "+clip, func(t *testing.T) {
					t.Parallel()
					breaks(t, f.fault, transport, clip, f.why)
				})
			}
		}
	}
}

func breaks(t *testing.T, fault rtsptest.Fault, transport rtsp.Transport, clip string, why func(error) bool) {
	cam := startCamera(t, rtsptest.Config{User: "user", Password: secret, Clip: clip})
	_, w := startClient(t, rtsp.Config{URL: cam.URL(), Transport: transport, Watchdog: 700 * time.Millisecond, Handshake: time.Second})
	eventually(t, "pictures", func() bool { n, _ := w.count(); return n >= 5 })
	began := time.Now()
	if err := cam.Inject(fault); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the connection", func() bool { _, n := w.count(); return n >= 1 })
	if d := time.Since(began); d > 5*1200*time.Millisecond {
		t.Errorf("noticed after %v", d)
	}
	before := w.firstEnd()
	eventually(t, "pictures again", func() bool { n, _ := w.count(); return n >= before+20 })
	if d := time.Since(began); d > fault.Duration+5*2*time.Second {
		t.Errorf("back after %v", d)
	}
	units, ends, states := w.snapshot()
	if why != nil && !why(ends[0]) {
		t.Errorf("ended with %v", ends[0])
	}
	if states[0] != rtsp.Connecting {
		t.Errorf("state %s", states[0])
	}
	if fault.Kind != rtsptest.FaultNoMarker && !units[before].Key { // the first ones show that there are no markers
		t.Error("the new connection does not begin with a key frame")
	}
}

// TestGoesOn injects faults that must not end the connection.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		fault     rtsptest.Fault
		transport rtsp.Transport
		drops     bool
	}{
		{rtsptest.Fault{Kind: rtsptest.FaultLoss, Rate: 0.05}, rtsp.UDP, true},
		{rtsptest.Fault{Kind: rtsptest.FaultLoss, Rate: 0.05}, rtsp.TCP, true},
		{rtsptest.Fault{Kind: rtsptest.FaultCorrupt, Rate: 0.05}, rtsp.TCP, true},
		{rtsptest.Fault{Kind: rtsptest.FaultReorder, Rate: 0.2}, rtsp.UDP, false},
		{rtsptest.Fault{Kind: rtsptest.FaultDuplicate, Rate: 0.5}, rtsp.UDP, false},
		{rtsptest.Fault{Kind: rtsptest.FaultDuplicate, Rate: 0.5}, rtsp.TCP, false},
		{rtsptest.Fault{Kind: rtsptest.FaultClockJump}, rtsp.TCP, false},
		{rtsptest.Fault{Kind: rtsptest.FaultSlow, Delay: 50 * time.Millisecond}, rtsp.TCP, false},
		{rtsptest.Fault{Kind: rtsptest.FaultAuth}, rtsp.TCP, false},
		{rtsptest.Fault{Kind: rtsptest.FaultNotFound}, rtsp.TCP, false},
		{rtsptest.Fault{Kind: rtsptest.FaultParams}, rtsp.TCP, false},
		{rtsptest.Fault{Kind: rtsptest.FaultParams}, rtsp.UDP, false},
	} {
		for _, clip := range []string{"320x180", "320x180-h265"} {
			t.Run(f.fault.Kind+" "+string(f.transport)+" "+clip, func(t *testing.T) {
				t.Parallel()
				goesOn(t, f.fault, f.transport, clip, f.drops)
			})
		}
	}
}

func goesOn(t *testing.T, fault rtsptest.Fault, transport rtsp.Transport, clip string, drops bool) {
	fps := 50
	if fault.Kind == rtsptest.FaultSlow {
		fps = 20 // on a busy machine the small pieces take their time
	}
	cam := startCamera(t, rtsptest.Config{User: "user", Password: secret, MTU: 300, Clip: clip, FPS: fps})
	c, w := startClient(t, rtsp.Config{URL: cam.URL(), Transport: transport, Watchdog: 5 * time.Second})
	eventually(t, "pictures", func() bool { n, _ := w.count(); return n >= 5 })
	if err := cam.Inject(fault); err != nil {
		t.Fatal(err)
	}
	eventually(t, "100 pictures", func() bool { n, _ := w.count(); return n >= 100 })
	if drops {
		eventually(t, "a dropped picture", func() bool { return c.Status().Stats.DroppedUnits > 0 })
	}
	units, ends, _ := w.snapshot()
	if len(ends) != 0 {
		t.Fatalf("connections ended: %v", ends)
	}
	if n := c.Status().Stats.DroppedUnits; !drops && n != 0 {
		t.Errorf("%d pictures dropped", n)
	}
	for i := 1; i < len(units); i++ {
		d := units[i].Time - units[i-1].Time
		if d <= 0 || d > 5*video.ClockRate {
			t.Errorf("picture %d came %d ticks after the one before", i, d)
		}
		if !drops && fault.Kind != rtsptest.FaultClockJump && d != int64(video.ClockRate/fps) {
			t.Errorf("a picture is missing before number %d: %d ticks", i, d)
		}
	}
	if fault.Kind == rtsptest.FaultParams {
		last := units[len(units)-1]
		if last.Params.Width != 192 || last.Params.Height != 108 {
			t.Errorf("last picture has %dx%d", last.Params.Width, last.Params.Height)
		}
		for i := 1; i < len(units); i++ {
			if units[i].Params != units[i-1].Params && !units[i].Key {
				t.Error("changed parameters without a key frame")
			}
		}
	}
	if fault.Kind == rtsptest.FaultClockJump && c.Status().Stats.ClockJumps != 1 {
		t.Errorf("%d clock jumps counted", c.Status().Stats.ClockJumps)
	}
}

func TestNoMarkersFromTheBeginning(t *testing.T) {
	t.Parallel()
	for _, clip := range []string{"320x180", "320x180-h265"} {
		t.Run(clip, func(t *testing.T) {
			t.Parallel()
			cam := startCamera(t, rtsptest.Config{Clip: clip, Faults: []rtsptest.Fault{{Kind: rtsptest.FaultNoMarker}}})
			_, w := startClient(t, rtsp.Config{URL: cam.URL(), Watchdog: 5 * time.Second})
			eventually(t, "pictures", func() bool { n, _ := w.count(); return n >= 30 })
			if _, n := w.count(); n != 0 {
				t.Error("connections ended")
			}
		})
	}
}

func TestRefusedPassword(t *testing.T) {
	t.Parallel()
	cam := startCamera(t, rtsptest.Config{User: "user", Password: secret})
	if err := cam.Inject(rtsptest.Fault{Kind: rtsptest.FaultAuth}); err != nil {
		t.Fatal(err)
	}
	c, w := startClient(t, rtsp.Config{URL: cam.URL(), AuthRetry: time.Second})
	eventually(t, "a refusal", func() bool { _, n := w.count(); return n >= 1 })
	if c.Status().State != rtsp.AuthFailed {
		t.Errorf("state %s", c.Status().State)
	}
	if n := cam.Denied(); n != 1 {
		t.Errorf("%d requests with the refused password within one try, want 1", n)
	}
	cam.Heal()
	eventually(t, "pictures", func() bool { n, _ := w.count(); return n >= 5 })
	_, ends, _ := w.snapshot()
	if len(ends) != 1 || !errors.Is(ends[0], rtsp.ErrAuth) {
		t.Errorf("ends: %v", ends)
	}
}

func TestMissingPassword(t *testing.T) {
	t.Parallel()
	cam := startCamera(t, rtsptest.Config{User: "user", Password: secret})
	c, w := startClient(t, rtsp.Config{URL: "rtsp://" + cam.Addr() + "/stream"})
	eventually(t, "a refusal", func() bool { _, n := w.count(); return n >= 1 })
	_, ends, _ := w.snapshot()
	if c.Status().State != rtsp.AuthFailed || !strings.Contains(ends[0].Error(), "the url has none") {
		t.Errorf("%s: %v", c.Status().State, ends[0])
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	cam := startCamera(t, rtsptest.Config{Faults: nil})
	if err := cam.Inject(rtsptest.Fault{Kind: rtsptest.FaultNotFound}); err != nil {
		t.Fatal(err)
	}
	_, w := startClient(t, rtsp.Config{URL: cam.URL()})
	eventually(t, "a refusal", func() bool { _, n := w.count(); return n >= 1 })
	_, ends, _ := w.snapshot()
	if se, ok := errors.AsType[*rtsp.StatusError](ends[0]); !ok || se.Code != 404 {
		t.Errorf("ended with %v", ends[0])
	}
	cam.Heal()
	eventually(t, "pictures", func() bool { n, _ := w.count(); return n >= 5 })
}

func TestOneSessionOnly(t *testing.T) {
	t.Parallel()
	cam := startCamera(t, rtsptest.Config{MaxSessions: 1})
	ctx, cancel := context.WithCancel(t.Context())
	first := &watcher{}
	c, err := rtsp.New(rtsp.Config{URL: cam.URL()}, first, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	eventually(t, "pictures", func() bool { n, _ := first.count(); return n >= 5 })
	_, second := startClient(t, rtsp.Config{URL: cam.URL()})
	eventually(t, "a refusal", func() bool { _, n := second.count(); return n >= 1 })
	_, ends, _ := second.snapshot()
	if se, ok := errors.AsType[*rtsp.StatusError](ends[0]); !ok || se.Code != 453 {
		t.Errorf("ended with %v", ends[0])
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually(t, "pictures for the second", func() bool { n, _ := second.count(); return n >= 5 })
	if _, n := first.count(); n != 0 {
		t.Error("the first client was disturbed")
	}
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	cam := startCamera(t, rtsptest.Config{SessionTimeout: time.Second})
	_, w := startClient(t, rtsp.Config{URL: cam.URL(), Transport: rtsp.UDP, Watchdog: 5 * time.Second})
	eventually(t, "pictures for three time-outs", func() bool { n, _ := w.count(); return n >= 150 })
	if _, n := w.count(); n != 0 {
		t.Error("the camera forgot the session")
	}
}

func TestConfigErrors(t *testing.T) {
	for raw, want := range map[string]string{
		"":                               "url is missing",
		"http://h/":                      `scheme "http" is not supported`,
		"rtsp:///x":                      "has no host",
		"rtsp://u:s3cret%zz@h/":          "is not valid",
		"rtsp://u:s3cret/x@h:abc/stream": "percent-encoded",
	} {
		_, err := rtsp.New(rtsp.Config{URL: raw}, &watcher{}, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if _, err := rtsp.New(rtsp.Config{URL: "rtsp://h/", Transport: "quic"}, &watcher{}, nil); err == nil {
		t.Error("transport quic was taken")
	}
}
