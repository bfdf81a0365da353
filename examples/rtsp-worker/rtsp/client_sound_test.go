package rtsp_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsp"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

func (w *watcher) heard() []aac.Frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]aac.Frame(nil), w.sound...)
}

func (w *watcher) beginnings() []*aac.Config {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*aac.Config(nil), w.began...)
}

func (w *watcher) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// undisturbed looks at pictures that came 50 a second: one connection, none missing.
func undisturbed(t *testing.T, c *rtsp.Client, w *watcher) {
	t.Helper()
	units, ends, _ := w.snapshot()
	if s := c.Status(); len(ends) != 0 || s.Connects != 1 || s.Stats.DroppedUnits != 0 || s.Stats.LostPackets != 0 || s.Stats.BadPackets != 0 {
		t.Errorf("ends %v, %+v", ends, s)
	}
	for i := 1; i < len(units); i++ {
		if d := units[i].Time - units[i-1].Time; d != video.ClockRate/50 {
			t.Fatalf("picture %d came %d ticks after the one before", i, d)
		}
	}
}

// place is how far a frame lies from its place, which its content tells: the camera begins clip and sound at the same moment, and the
// client's time begins with the clip's first picture.
func place(t *testing.T, f aac.Frame, clip []aac.Frame) time.Duration {
	t.Helper()
	length := time.Duration(f.Config.FrameTicks) * time.Second / time.Duration(f.Config.Rate)
	at := time.Duration(f.Time) * time.Second / time.Duration(f.Config.Rate)
	loop := time.Duration(len(clip)) * length
	for i, c := range clip {
		if bytes.Equal(f.Data, c.Data) {
			off := (at - time.Duration(i)*length) % loop
			if off > loop/2 {
				off -= loop
			} else if off < -loop/2 {
				off += loop
			}
			return off
		}
	}
	t.Fatal("a frame that was never sent")
	return 0
}

// TestSound hears sound that is sent 300 ms late: by the camera's reports it lies where it belongs.
func TestSound(t *testing.T) {
	t.Parallel()
	clip, err := rtsptest.SoundFrames()
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			cam := startCamera(t, rtsptest.Config{User: "user", Password: secret, Sound: rtsptest.SoundAAC, SoundDelay: 300 * time.Millisecond})
			c, w := startClient(t, rtsp.Config{URL: cam.URL(), Transport: transport, ReportInterval: 20 * time.Millisecond, Watchdog: 5 * time.Second})
			eventually(t, "30 frames of sound", func() bool { return len(w.heard()) >= 30 })
			eventually(t, "receiver reports", func() bool { return cam.Reports() >= 4 })
			frames := w.heard()
			for i, f := range frames[5:] { // the first reports may be behind the first frames
				if off := place(t, f, clip); off < -time.Millisecond || off > time.Millisecond {
					t.Errorf("frame %d is %v out of place", i+5, off)
				}
			}
			undisturbed(t, c, w)
			if s := c.Status().Stats; s.LostSound != 0 || s.BadSound != 0 || s.SoundFrames < 20 {
				t.Errorf("%+v", s)
			}
			if err := cam.Inject(rtsptest.Fault{Kind: rtsptest.FaultClockJump}); err != nil {
				t.Fatal(err)
			}
			n := len(w.heard())
			eventually(t, "sound in its place behind the jump", func() bool { // the next reports are up to a second away
				frames := w.heard()
				units, _, _ := w.snapshot()
				last := len(units) - 1 // at the jump, the time that passed may differ from that of a picture
				shift := time.Duration(units[last].Time-int64(last)*video.ClockRate/50) * time.Second / video.ClockRate
				off := place(t, frames[len(frames)-1], clip) - shift
				return len(frames) > n+20 && off > -50*time.Millisecond && off < 50*time.Millisecond
			})
			if _, ends, _ := w.snapshot(); len(ends) != 0 {
				t.Errorf("connections ended: %v", ends)
			}
		})
	}
}

// TestSoundNeverHurts breaks the sound in all ways: the pictures come as if there were none.
func TestSoundNeverHurts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sound  string
		off    bool
		faults []rtsptest.Fault // from the beginning on
		later  []rtsptest.Fault
		heard  bool
		says   string
	}{
		"none":           {sound: rtsptest.SoundNone},
		"off":            {sound: rtsptest.SoundAAC, off: true},
		"G.711":          {sound: rtsptest.SoundPCMU, says: "sound offered: payload type 0: only AAC"},
		"refused":        {sound: rtsptest.SoundAAC, faults: []rtsptest.Fault{{Kind: rtsptest.FaultSoundRefuse}}, says: "the camera answered 461"},
		"rubbish":        {sound: rtsptest.SoundAAC, faults: []rtsptest.Fault{{Kind: rtsptest.FaultBadSound}}},
		"never begins":   {sound: rtsptest.SoundAAC, faults: []rtsptest.Fault{{Kind: rtsptest.FaultNoSound}}},
		"begins later":   {sound: rtsptest.SoundAAC, faults: []rtsptest.Fault{{Kind: rtsptest.FaultNoSound, Duration: 700 * time.Millisecond}}, heard: true},
		"comes and goes": {sound: rtsptest.SoundAAC, later: []rtsptest.Fault{{Kind: rtsptest.FaultNoSound, After: 300 * time.Millisecond, Every: 400 * time.Millisecond, Duration: 200 * time.Millisecond}}, heard: true},
	} {
		for _, transport := range []rtsp.Transport{rtsp.TCP, rtsp.UDP} {
			t.Run(name+" "+string(transport), func(t *testing.T) {
				t.Parallel()
				cam := startCamera(t, rtsptest.Config{Sound: c.sound, Faults: c.later})
				for _, f := range c.faults {
					if err := cam.Inject(f); err != nil {
						t.Fatal(err)
					}
				}
				cfg := rtsp.Config{URL: cam.URL(), Transport: transport, Watchdog: 5 * time.Second}
				if c.off {
					cfg.Sound = rtsp.SoundOff
				}
				client, w := startClient(t, cfg)
				eventually(t, "100 pictures", func() bool { n, _ := w.count(); return n >= 100 })
				if c.heard {
					eventually(t, "sound", func() bool { return len(w.heard()) > 0 })
				} else if n := len(w.heard()); n > 0 {
					t.Errorf("%d frames of sound", n)
				}
				undisturbed(t, client, w)
				if agreed := c.sound == rtsptest.SoundAAC && !c.off && c.says == ""; len(w.beginnings()) != 1 || (w.beginnings()[0] != nil) != agreed {
					t.Errorf("began with %+v", w.beginnings())
				}
				if n := strings.Count(w.said(), "recording without sound"); c.says == "" && n != 0 || c.says != "" && n != 1 || !strings.Contains(w.said(), c.says) {
					t.Errorf("log: %s", w.said())
				}
			})
		}
	}
}

// TestSoundBreaksConnection plays a camera that does not answer when it is asked for sound: the next try does without.
func TestSoundBreaksConnection(t *testing.T) {
	t.Parallel()
	cam := startCamera(t, rtsptest.Config{Sound: rtsptest.SoundAAC})
	if err := cam.Inject(rtsptest.Fault{Kind: rtsptest.FaultSoundHang}); err != nil {
		t.Fatal(err)
	}
	c, w := startClient(t, rtsp.Config{URL: cam.URL(), Handshake: 500 * time.Millisecond, Watchdog: 5 * time.Second})
	eventually(t, "pictures", func() bool { n, _ := w.count(); return n >= 20 })
	_, ends, _ := w.snapshot()
	if len(ends) != 1 || !strings.Contains(ends[0].Error(), "ask for sound") || c.Status().Connects != 1 || len(w.heard()) != 0 {
		t.Errorf("ends %v, %+v, %d frames", ends, c.Status(), len(w.heard()))
	}
	if n := strings.Count(w.said(), "recording without sound"); n != 1 {
		t.Errorf("said %d times", n)
	}

	cam.Heal() // the connection after one with pictures asks again
	if err := cam.Inject(rtsptest.Fault{Kind: rtsptest.FaultReset}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sound", func() bool { return len(w.heard()) >= 5 })
}

// TestSoundFaults lets packets of both be lost, damaged, doubled and swapped.
func TestSoundFaults(t *testing.T) {
	t.Parallel()
	for _, f := range []rtsptest.Fault{
		{Kind: rtsptest.FaultLoss, Rate: 0.1},
		{Kind: rtsptest.FaultCorrupt, Rate: 0.1},
		{Kind: rtsptest.FaultDuplicate, Rate: 0.5},
		{Kind: rtsptest.FaultReorder, Rate: 0.2},
		{Kind: rtsptest.FaultNoMarker},
	} {
		t.Run(f.Kind, func(t *testing.T) {
			t.Parallel()
			cam := startCamera(t, rtsptest.Config{Sound: rtsptest.SoundAAC, Faults: []rtsptest.Fault{f}})
			_, w := startClient(t, rtsp.Config{URL: cam.URL(), Transport: rtsp.UDP, Watchdog: 5 * time.Second})
			eventually(t, "pictures and sound", func() bool { n, _ := w.count(); return n >= 100 && len(w.heard()) >= 25 })
			units, ends, _ := w.snapshot()
			if len(ends) != 0 {
				t.Fatalf("connections ended: %v", ends)
			}
			frames := w.heard()
			for i := 1; i < len(frames); i++ {
				if d := frames[i].Time - frames[i-1].Time; d <= 0 && f.Kind != rtsptest.FaultCorrupt { // a damaged timestamp is put right by the next report
					t.Errorf("frame %d came %d ticks after the one before", i, d)
				}
			}
			apart := frames[len(frames)-1].Time/int64(frames[0].Config.Rate) - units[len(units)-1].Time/video.ClockRate
			if apart < -2 || apart > 2 {
				t.Errorf("sound and pictures are %d s apart", apart)
			}
		})
	}
}

// TestSoundAfterBreak breaks the connection: pictures and sound come back together.
func TestSoundAfterBreak(t *testing.T) {
	t.Parallel()
	clip, err := rtsptest.SoundFrames()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{rtsptest.FaultReset, rtsptest.FaultStall} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cam := startCamera(t, rtsptest.Config{Sound: rtsptest.SoundAAC})
			_, w := startClient(t, rtsp.Config{URL: cam.URL(), Watchdog: 700 * time.Millisecond, Handshake: time.Second})
			eventually(t, "sound", func() bool { return len(w.heard()) >= 5 })
			if err := cam.Inject(rtsptest.Fault{Kind: kind, Duration: 1500 * time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the end of the connection", func() bool { _, n := w.count(); return n >= 1 })
			n := len(w.heard())
			eventually(t, "sound again", func() bool { return len(w.heard()) >= n+10 })
			if _, ends, _ := w.snapshot(); kind == rtsptest.FaultStall && !errors.Is(ends[0], rtsp.ErrWatchdog) {
				t.Errorf("ended with %v", ends)
			}
			frames := w.heard()
			if off := place(t, frames[len(frames)-1], clip); off < -100*time.Millisecond || off > 100*time.Millisecond {
				t.Errorf("sound is %v out of place", off)
			}
		})
	}
}
