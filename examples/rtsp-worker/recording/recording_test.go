package recording

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/fmp4"
	"github.com/skalds-go/skalds/examples/rtsp-worker/h265"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// clip is a clip of package rtsptest.
func clip(t testing.TB, name string) []video.Unit {
	t.Helper()
	units, err := rtsptest.Units(name)
	if err != nil {
		t.Fatal(err)
	}
	return units
}

const tick = video.ClockRate / 10

// told is an Observer that remembers.
type told struct {
	mu       sync.Mutex
	segments map[string]Segment
	order    []string
	problems []string
}

func (o *told) Segment(s Segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.segments == nil {
		o.segments = map[string]Segment{}
	}
	if _, ok := o.segments[s.Path]; !ok {
		o.order = append(o.order, s.Path)
	}
	o.segments[s.Path] = s
}

func (o *told) Problem(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.problems = append(o.problems, fmt.Sprint(err))
}

// inOrder are the segments in the order of their first mention.
func (o *told) inOrder() []Segment {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Segment
	for _, p := range o.order {
		out = append(out, o.segments[p])
	}
	return out
}

// player feeds a Recorder with a clip, 10 pictures a second, on a clock of its own.
type player struct {
	t     *testing.T
	rec   *Recorder
	told  *told
	dir   string
	now   time.Time
	n     int64
	units []video.Unit
}

func newPlayer(t *testing.T, cfg Config) *player {
	t.Helper()
	p := &player{t: t, told: &told{}, dir: t.TempDir(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), units: clip(t, "320x180")}
	cfg.Dir, cfg.Epoch = p.dir, 3
	rec, err := New(cfg, p.told, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.rec = rec
	return p
}

func (p *player) play(n int) {
	for range n {
		u := p.units[int(p.n)%len(p.units)]
		u.Time = p.n * tick
		p.rec.Unit(u, p.now)
		p.n++
		p.now = p.now.Add(100 * time.Millisecond)
	}
}

// check compares what was told with what lies there and plays.
func (p *player) check(want ...Segment) {
	p.t.Helper()
	got := p.told.inOrder()
	if len(got) != len(want) {
		p.t.Fatalf("%d segments, want %d: %+v", len(got), len(want), got)
	}
	for i, s := range got {
		w := want[i]
		if s.EndReason != w.EndReason || s.Frames != w.Frames || s.Width != w.Width || s.Duration != time.Duration(w.Frames)*100*time.Millisecond {
			p.t.Errorf("segment %d: %+v, want %+v", i, s, w)
		}
		if s.EndReason == EndDeleted || s.EndReason == "" {
			continue
		}
		data, err := os.ReadFile(s.Path)
		if err != nil {
			p.t.Fatal(err)
		}
		info, err := fmp4.Walk(bytes.NewReader(data), int64(len(data)))
		if err != nil || info.Whole != int64(len(data)) || info.Frames != w.Frames || info.Whole != s.Bytes {
			p.t.Errorf("segment %d: file: %+v, %v", i, info, err)
		}
		if text, ok := ffprobe(p.t, s.Path); ok && text != fmt.Sprint(w.Frames) {
			p.t.Errorf("segment %d: ffprobe: %s, want %d frames", i, text, w.Frames)
		}
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := p.told.segments[filepath.Join(p.dir, e.Name())]; !ok {
			p.t.Errorf("file %s was not told of", e.Name())
		}
	}
}

// clips are one of each codec, and one of the same codec with another size.
var clips = map[video.Codec][2]string{video.H264: {"320x180", "192x108"}, video.H265: {"320x180-h265", "192x108-h265"}}

// eachCodec runs a test with a player of each codec's clip.
func eachCodec(t *testing.T, cfg Config, test func(t *testing.T, p *player, codec video.Codec)) {
	for codec, names := range clips {
		t.Run(string(codec), func(t *testing.T) {
			p := newPlayer(t, cfg)
			p.units = clip(t, names[0])
			test(t, p, codec)
		})
	}
}

func TestSegments(t *testing.T) {
	eachCodec(t, Config{Segment: 2 * time.Second}, func(t *testing.T, p *player, codec video.Codec) {
		p.play(45)
		p.rec.Cut(EndStop)
		p.rec.Cut(EndStop)
		p.check(Segment{EndReason: EndRotate, Frames: 20, Width: 320}, Segment{EndReason: EndRotate, Frames: 20, Width: 320}, Segment{EndReason: EndStop, Frames: 5, Width: 320})
		if name := filepath.Base(p.told.order[1]); name != "20260301T120002.000Z-e3.mp4" {
			t.Errorf("name %s", name)
		}
		if s := p.rec.Stats(); s.Frames != 45 || s.Segments != 3 || s.LostFrames != 0 {
			t.Errorf("%+v", s)
		}
		for _, s := range p.told.inOrder() {
			if s.Codec != codec {
				t.Errorf("codec %s", s.Codec)
			}
		}
	})
}

func TestCutWaitsForKeyFrame(t *testing.T) {
	p := newPlayer(t, Config{})
	p.play(13)
	p.rec.Cut(EndReconnect)
	p.play(20) // the next key frame is number 20
	p.rec.Cut(EndStop)
	p.check(Segment{EndReason: EndReconnect, Frames: 13, Width: 320}, Segment{EndReason: EndStop, Frames: 13, Width: 320})
}

func TestParameterChange(t *testing.T) {
	eachCodec(t, Config{}, func(t *testing.T, p *player, codec video.Codec) {
		p.play(13)
		p.units = clip(t, clips[codec][1])
		p.n = 20
		p.play(7)
		p.rec.Cut(EndStop)
		got := p.told.inOrder()
		if len(got) != 2 || got[0].EndReason != EndParams || got[0].Frames != 13 || got[1].Frames != 7 || got[1].Width != 192 || got[1].Codec != codec {
			t.Errorf("%+v", got)
		}
	})
}

// TestCodecChange sees a camera go over to the other codec without a word.
func TestCodecChange(t *testing.T) {
	p := newPlayer(t, Config{})
	p.play(13)
	p.units = clip(t, "320x180-h265")
	p.n = 20
	p.play(7)
	p.rec.Cut(EndStop)
	got := p.told.inOrder()
	if len(got) != 2 || got[0].EndReason != EndParams || got[0].Frames != 13 || got[1].Frames != 7 || got[0].Codec != video.H264 || got[1].Codec != video.H265 {
		t.Errorf("%+v", got)
	}
}

// TestPartsAreWritten looks at the file while it is open: nothing but the last part and one picture may be missing.
func TestPartsAreWritten(t *testing.T) {
	eachCodec(t, Config{Part: 200 * time.Millisecond}, func(t *testing.T, p *player, _ video.Codec) {
		for n := range 25 {
			p.play(1)
			if p.rec.openPath() == "" {
				continue
			}
			data, err := os.ReadFile(p.rec.openPath())
			if err != nil {
				t.Fatal(err)
			}
			info, err := fmp4.Walk(bytes.NewReader(data), int64(len(data)))
			if err != nil || info.Frames < n+1-2 || info.Whole != int64(len(data)) {
				t.Fatalf("after %d pictures: %+v, %v", n+1, info, err)
			}
		}
		p.rec.Cut(EndStop)
	})
}

func TestConfigure(t *testing.T) {
	p := newPlayer(t, Config{Segment: time.Hour})
	p.play(15)
	if err := p.rec.Configure(Config{Dir: p.dir, Segment: time.Second}); err != nil {
		t.Fatal(err)
	}
	p.play(10)
	p.rec.Cut(EndStop)
	p.check(Segment{EndReason: EndRotate, Frames: 20, Width: 320}, Segment{EndReason: EndStop, Frames: 5, Width: 320})
	if err := p.rec.Configure(Config{Dir: p.dir, Part: time.Minute}); err == nil {
		t.Error("a part of a minute was taken")
	}
}

// TestOutOfOrder gives pictures in the order of decoding, as a camera with B-frames does: I0 P3 B1 B2 and so on.
func TestOutOfOrder(t *testing.T) {
	var line timeline
	params := &video.Params{Reorder: 2}
	var got []timed
	for i := range int64(5) {
		for _, k := range []int64{0, 3, 1, 2} {
			if s, ok := line.push(video.Unit{Time: (4*i + k) * tick, Params: params}, time.Time{}); ok {
				got = append(got, s)
			}
		}
	}
	got = append(got, line.flush()...)
	if len(got) != 20 {
		t.Fatalf("%d samples", len(got))
	}
	for i, s := range got {
		if s.at != int64(i)*tick || s.Duration != tick {
			t.Errorf("sample %d: at %d, %d long", i, s.at/tick, s.Duration)
		}
		want := int64(i/4*4) + []int64{0, 3, 1, 2}[i%4]
		if s.at+int64(s.Offset) != want*tick {
			t.Errorf("sample %d is shown at %d, want %d", i, (s.at+int64(s.Offset))/tick, want)
		}
	}
}

// TestOpenGroups records pictures that are sent out of order, also across key frames.
func TestOpenGroups(t *testing.T) {
	stream, err := os.ReadFile("testdata/open.h265")
	if err != nil {
		t.Fatal(err)
	}
	shown := []int64{ // the place of each picture, in the order of sending
		0, 4, 2, 1, 3, 8, 6, 5, 7,
		10, 9, 14, 12, 11, 13, 18, 16, 15, 17,
		20, 19, 24, 22, 21, 23, 28, 26, 25, 27, 29,
	}
	p := newPlayer(t, Config{Segment: 900 * time.Millisecond})
	sets := h265.NewParamSets()
	n := 0
	for _, nal := range video.SplitAnnexB(stream) {
		switch kind := h265.Kind(nal); kind {
		case video.KindParams:
			if err := sets.Add(nal); err != nil {
				t.Fatal(err)
			}
		case video.KindPicture, video.KindKey:
			p.rec.Unit(video.Unit{NALs: [][]byte{nal}, Key: kind == video.KindKey, Params: sets.Params(), Time: shown[n] * tick}, p.now)
			p.now = p.now.Add(100 * time.Millisecond)
			n++
		}
	}
	p.rec.Cut(EndStop)
	got := p.told.inOrder()
	if n != len(shown) || len(got) != 3 {
		t.Fatalf("%d pictures, %d files", n, len(got))
	}
	for i, want := range []int{9, 10, 11} {
		if got[i].Frames != want || got[i].Duration != time.Duration(want)*100*time.Millisecond {
			t.Errorf("file %d: %+v", i, got[i])
		}
		// What is shown before a key frame needs pictures of the file before: players pass over it.
		if text, ok := ffprobe(t, got[i].Path); ok && text != fmt.Sprint(want-min(i, 1)) {
			t.Errorf("file %d: ffprobe: %s", i, text)
		}
	}
}

// ffprobe decodes a file and returns the number of its pictures, where it is installed.
func ffprobe(t *testing.T, path string) (pictures string, ok bool) {
	t.Helper()
	program, err := exec.LookPath("ffprobe")
	if err != nil {
		return "", false
	}
	out, err := exec.Command(program, "-v", "error", "-select_streams", "v", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path).CombinedOutput()
	if err != nil {
		t.Errorf("ffprobe: %v", err)
	}
	return strings.TrimSpace(string(out)), true
}

// smallDisk takes a number of bytes and then no more.
type smallDisk struct {
	osDisk
	mu   sync.Mutex
	room int
}

type smallFile struct {
	File
	d *smallDisk
}

func (d *smallDisk) Create(path string) (File, error) {
	f, err := d.osDisk.Create(path)
	return smallFile{f, d}, err
}

func (f smallFile) Write(p []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, err := f.File.Write(p[:min(len(p), f.d.room)])
	f.d.room -= n
	if err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	}
	return n, err
}

func (d *smallDisk) grow(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += n
}

func TestDiskFull(t *testing.T) {
	disk := &smallDisk{room: 20000}
	p := newPlayer(t, Config{Disk: disk, DiskRetry: time.Second})
	p.play(100)
	got := p.told.inOrder()
	if len(got) != 1 || got[0].EndReason != EndDisk || got[0].Frames == 0 {
		t.Fatalf("%+v", got)
	}
	full := got[0]
	if len(p.told.problems) != 1 || !strings.Contains(p.told.problems[0], "no space left on device: free some space") {
		t.Fatalf("problems: %q", p.told.problems)
	}
	if entries, _ := os.ReadDir(p.dir); len(entries) != 1 {
		t.Errorf("%d files on a full disk, want the whole one only", len(entries))
	}
	disk.grow(1 << 20)
	p.play(40)
	p.rec.Cut(EndStop)
	if len(p.told.problems) != 2 || p.told.problems[1] != "<nil>" {
		t.Errorf("problems: %q", p.told.problems)
	}
	got = p.told.inOrder()
	if len(got) != 2 || got[1].Frames < 30 {
		t.Fatalf("%+v", got)
	}
	p.check(Segment{EndReason: EndDisk, Frames: full.Frames, Width: 320}, Segment{EndReason: EndStop, Frames: got[1].Frames, Width: 320})
	if s := p.rec.Stats(); s.LostFrames == 0 {
		t.Errorf("%+v", s)
	}
}

func TestFolderAway(t *testing.T) {
	p := newPlayer(t, Config{DiskRetry: time.Second})
	if err := os.Remove(p.dir); err != nil {
		t.Fatal(err)
	}
	p.play(30)
	if len(p.told.problems) != 1 || !strings.Contains(p.told.problems[0], "no such file") {
		t.Fatalf("problems: %q", p.told.problems)
	}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p.play(30)
	p.rec.Cut(EndStop)
	if len(p.told.problems) != 2 || len(p.told.inOrder()) != 1 {
		t.Errorf("problems %q, segments %+v", p.told.problems, p.told.inOrder())
	}
}
