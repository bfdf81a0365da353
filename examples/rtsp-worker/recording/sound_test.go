package recording

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/fmp4"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
)

// band is a player whose camera has sound, too: frames of 64 ms that come when they are over.
type band struct {
	*player
	frames []aac.Frame
	next   int64         // number of the next frame
	silent bool          // the camera sends none
	late   time.Duration // how much later than it could sound comes
	ahead  int64         // what the times of sound are wrong by, in its ticks
}

func newBand(t *testing.T, cfg Config) *band {
	t.Helper()
	frames, err := rtsptest.SoundFrames()
	if err != nil {
		t.Fatal(err)
	}
	return &band{player: newPlayer(t, cfg), frames: frames}
}

const frameTicks = 1024

func (b *band) play(pictures int) {
	for range pictures {
		for {
			over := time.Duration((b.next+1)*frameTicks) * time.Second / 16000
			if over+b.late > time.Duration(b.n)*100*time.Millisecond {
				break
			}
			f := b.frames[int(b.next)%len(b.frames)]
			f.Time = b.next*frameTicks + b.ahead
			if !b.silent {
				b.rec.Sound(f, b.now)
			}
			b.next++
		}
		b.player.play(1)
	}
}

// track is what lies in the second track of a file.
type track struct {
	frames int
	begin  time.Duration // of the first frame
	end    time.Duration // of the last one
	gaps   int
}

// heard reads the second track with ffprobe, where it is installed.
func heard(t *testing.T, path string) (out track, ok bool) {
	t.Helper()
	program, err := exec.LookPath("ffprobe")
	if err != nil {
		return track{}, false
	}
	text, err := exec.Command(program, "-v", "error", "-select_streams", "a", "-show_entries", "packet=pts,duration", "-of", "csv=p=0", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v: %s", err, text)
	}
	end := int64(-1)
	for line := range strings.Lines(string(text)) {
		var at, length int64
		if _, err := fmt.Sscanf(line, "%d,%d", &at, &length); err != nil {
			t.Fatalf("ffprobe: %q", line)
		}
		if out.frames == 0 {
			out.begin = time.Duration(at) * time.Second / 16000
		} else if at < end {
			t.Errorf("sound at %d begins before the one before ends", at)
		}
		if out.frames > 0 && at > end || length > frameTicks {
			out.gaps++
		}
		out.frames, end = out.frames+1, at+length
	}
	out.end = time.Duration(max(end, 0)) * time.Second / 16000
	return out, true
}

// decodes lets ffmpeg decode both tracks, where it is installed.
func decodes(t *testing.T, path string) {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		return
	}
	if text, err := exec.Command(program, "-v", "error", "-i", path, "-f", "null", "-").CombinedOutput(); err != nil || len(text) > 0 {
		t.Errorf("ffmpeg: %v: %s", err, text)
	}
}

func whole(t *testing.T, path string) fmp4.Info {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := fmp4.Walk(bytes.NewReader(data), int64(len(data)))
	if err != nil || info.Whole != int64(len(data)) {
		t.Errorf("file: %+v, %v", info, err)
	}
	return info
}

// TestSoundBesidePictures records three files; sound goes through them in its place, without a gap within a file.
func TestSoundBesidePictures(t *testing.T) {
	for codec, names := range clips {
		for _, late := range []time.Duration{0, 300 * time.Millisecond} {
			t.Run(fmt.Sprint(codec, " late by ", late), func(t *testing.T) {
				b := newBand(t, Config{Segment: 2 * time.Second})
				b.units, b.late = clip(t, names[0]), late
				b.play(45)
				b.rec.Cut(EndStop)
				segments := b.told.inOrder()
				decodes(t, segments[len(segments)-1].Path)
				if late > 0 { // there was none when the first file began
					if s := segments[0]; s.Sound || s.Frames != 10 || s.EndReason != EndParams {
						t.Fatalf("%+v", s)
					}
					segments = segments[1:]
				}
				for i, s := range segments {
					if info := whole(t, s.Path); !s.Sound || !info.Sound || info.Frames != s.Frames {
						t.Errorf("file %d: %+v, %+v", i, s, info)
					}
					got, ok := heard(t, s.Path)
					if !ok {
						continue
					}
					if got.begin > 64*time.Millisecond || got.gaps > 0 {
						t.Errorf("file %d: %+v", i, got)
					}
					// The last of it has not come when the file ends.
					if missing := s.Duration - got.end; missing < -64*time.Millisecond || missing > late+264*time.Millisecond {
						t.Errorf("file %d: %v are missing: %+v", i, missing, got)
					}
				}
			})
		}
	}
}

// TestSoundIsExpected has sound begin in time, late, and not at all after it was promised: the file goes on.
func TestSoundIsExpected(t *testing.T) {
	for name, c := range map[string]struct {
		silent int // pictures before it begins
		frames int
	}{"in time": {0, 40}, "late": {15, 23}, "never": {30, 0}} {
		t.Run(name, func(t *testing.T) {
			b := newBand(t, Config{})
			b.rec.Expect(b.frames[0].Config, b.now)
			b.late, b.silent = 300*time.Millisecond, true
			b.play(c.silent)
			b.silent = false
			b.play(30 - c.silent)
			b.rec.Cut(EndStop)
			b.check(Segment{EndReason: EndStop, Frames: 30, Width: 320})
			if s := b.told.inOrder()[0]; !s.Sound {
				t.Errorf("%+v", s)
			}
			got, ok := heard(t, b.told.order[0])
			if ok && (got.frames < c.frames-2 || got.frames > c.frames+2 || got.gaps != 0 || c.silent > 0 && c.frames > 0 && got.begin < time.Second) {
				t.Errorf("%+v", got)
			}
		})
	}
	b := newBand(t, Config{Segment: 3 * time.Second})
	b.rec.Expect(b.frames[0].Config, b.now)
	b.silent = true
	b.play(45)
	decodes(t, b.told.order[0]) // it has a track with nothing in it
	b.rec.Expect(nil, b.now)
	b.rec.Cut(EndStop)
	if s := b.told.inOrder(); len(s) != 2 || !s[0].Sound || s[1].Sound {
		t.Errorf("a promise that was not kept: %+v", s)
	}
}

// TestSoundStartsAndStops makes a file with a second track at the first key frame after sound began, and only then.
func TestSoundStartsAndStops(t *testing.T) {
	b := newBand(t, Config{Segment: 4 * time.Second})
	b.silent = true
	b.play(13)
	b.silent = false
	b.play(12) // a key frame at 20
	b.silent = true
	b.play(10)
	b.silent = false
	b.play(3)
	b.silent = true
	b.play(72)
	b.rec.Cut(EndStop)
	b.check(
		Segment{EndReason: EndParams, Frames: 20, Width: 320}, Segment{EndReason: EndRotate, Frames: 40, Width: 320},
		Segment{EndReason: EndRotate, Frames: 40, Width: 320}, Segment{EndReason: EndStop, Frames: 10, Width: 320},
	)
	segments := b.told.inOrder()
	for i, want := range []bool{false, true, false, false} {
		if segments[i].Sound != want || whole(t, segments[i].Path).Sound != want {
			t.Errorf("file %d: %+v", i, segments[i])
		}
	}
	decodes(t, segments[1].Path)
	if got, ok := heard(t, segments[1].Path); ok && (got.frames == 0 || got.gaps != 1 || got.end > 1900*time.Millisecond) {
		t.Errorf("%+v", got)
	}
}

// TestSoundOutOfPlace gives sound times that jitter, jump, and go back: the file stays whole, and so do the pictures.
func TestSoundOutOfPlace(t *testing.T) {
	b := newBand(t, Config{})
	for i := range 40 {
		b.ahead = []int64{0, 100, -200, 300}[i%4]
		b.play(1)
	}
	if b.rec.Cut(EndStop); len(b.told.inOrder()) != 1 {
		t.Fatalf("%+v", b.told.inOrder())
	}
	if got, ok := heard(t, b.told.order[0]); ok && (got.gaps != 0 || got.frames < 58) {
		t.Errorf("jitter: %+v", got)
	}

	b = newBand(t, Config{})
	b.play(10)
	b.ahead = 8000 // half a second later
	b.play(10)
	b.ahead = -8000 // and half a second earlier than at first
	b.play(20)
	b.ahead = -1 << 40
	b.play(5)
	b.ahead = 1 << 40
	b.play(5)
	b.rec.Cut(EndStop)
	b.check(Segment{EndReason: EndStop, Frames: 50, Width: 320})
	decodes(t, b.told.order[0])
	if got, ok := heard(t, b.told.order[0]); ok && (got.gaps == 0 || got.end > 5*time.Second) {
		t.Errorf("jumps: %+v", got)
	}
}

// TestSoundAlone gives sound without pictures: nothing is kept but what may still be needed.
func TestSoundAlone(t *testing.T) {
	b := newBand(t, Config{})
	config := b.frames[0].Config
	for i := range int64(3000) {
		b.rec.Sound(aac.Frame{Time: i * frameTicks, Data: make([]byte, 8000), Config: config}, b.now)
	}
	if b.rec.sound.bytes > maxSound || b.rec.sound.bytes < maxSound/2 {
		t.Errorf("%d bytes wait", b.rec.sound.bytes)
	}
	if len(b.told.order) != 0 {
		t.Errorf("%+v", b.told.inOrder())
	}
	other := *config
	b.rec.Sound(aac.Frame{Data: []byte{1}, Config: &other}, b.now)
	if b.rec.sound.bytes != 1 {
		t.Errorf("%d bytes wait, of two kinds of sound", b.rec.sound.bytes)
	}
	b.rec.Cut(EndReconnect)
	if b.rec.sound.current(b.now) != nil || b.rec.sound.take(1<<40) != nil {
		t.Error("sound of another connection is still there")
	}
}

// TestSoundOfLongParts gives a longer part than sound is fresh.
func TestSoundOfLongParts(t *testing.T) {
	b := newBand(t, Config{Part: 10 * time.Second})
	b.play(110)
	b.rec.Cut(EndStop)
	if got, ok := heard(t, b.told.order[0]); ok && (got.gaps != 0 || got.frames < 165) {
		t.Errorf("%+v", got)
	}
}

// TestSoundIsRepaired cuts a file with two tracks in the middle of a part.
func TestSoundIsRepaired(t *testing.T) {
	b := newBand(t, Config{})
	b.play(30)
	path := b.rec.openPath()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b.rec.Cut(EndStop)
	if err := os.WriteFile(path, data[:len(data)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	observer := &told{}
	rec, err := New(Config{Dir: b.dir}, observer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := rec.Recover(context.Background()); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	s := observer.segments[path]
	if info := whole(t, path); s.EndReason != EndCrash || !s.Sound || !info.Sound || info.Frames != s.Frames || s.Frames != 26 {
		t.Errorf("%+v, %+v", s, info)
	}
	decodes(t, path)
	if got, ok := heard(t, path); ok && (got.gaps != 0 || s.Duration-got.end > 164*time.Millisecond || s.Duration < got.end-64*time.Millisecond) {
		t.Errorf("%+v", got)
	}
}

// TestSoundOnFullDisk fills the disk while two tracks are written.
func TestSoundOnFullDisk(t *testing.T) {
	disk := &smallDisk{room: 30000}
	b := newBand(t, Config{Disk: disk, DiskRetry: time.Second})
	b.play(60)
	disk.grow(1 << 20)
	b.play(40)
	b.rec.Cut(EndStop)
	segments := b.told.inOrder()
	if len(segments) != 2 || segments[0].EndReason != EndDisk || segments[1].Frames < 20 {
		t.Fatalf("%+v", segments)
	}
	for i, s := range segments {
		if info := whole(t, s.Path); !info.Sound || info.Frames != s.Frames {
			t.Errorf("file %d: %+v", i, info)
		}
		if got, ok := heard(t, s.Path); ok && (got.gaps != 0 || got.begin > 64*time.Millisecond || s.Duration < got.end-64*time.Millisecond) {
			t.Errorf("file %d: %+v", i, got)
		}
	}
}
