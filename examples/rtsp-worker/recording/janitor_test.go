package recording

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/fmp4"
)

// crashed leaves a file as a killed process does: whole parts, a piece of the next one, no seal.
func crashed(t *testing.T, shown, name string, rest []byte) (dir, path string) {
	t.Helper()
	p := newPlayer(t, Config{})
	p.units = clip(t, shown)
	p.play(21)
	data, err := os.ReadFile(p.rec.openPath())
	if err != nil {
		t.Fatal(err)
	}
	p.rec.Cut(EndStop)
	dir = t.TempDir()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, append(data, rest...), 0o644); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Minute)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

func TestRecover(t *testing.T) {
	for codec, names := range clips {
		t.Run(string(codec), func(t *testing.T) {
			rest := []byte{0, 0, 4, 0, 'm', 'o', 'o', 'f', 1, 2, 3}
			dir, path := crashed(t, names[0], "20260301T120000.000Z-e7.mp4", rest)
			for name, content := range map[string]string{"20260301T110000.000Z-e6.mp4": "", "20260301T110001.000Z-e6.mp4": "\x00\x00\x00\x20ftypiso5", "other.mp4": "not ours"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
				past := time.Now().Add(-time.Minute)
				if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
					t.Fatal(err)
				}
			}
			o := &told{}
			rec, err := New(Config{Dir: dir, Epoch: 8}, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := rec.Recover(t.Context()); n != 3 || err != nil {
				t.Fatalf("%d repaired, %v", n, err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			info, err := fmp4.Walk(bytes.NewReader(data), int64(len(data)))
			if err != nil || info.EndReason != EndCrash || info.Frames != 20 {
				t.Errorf("%+v, %v", info, err)
			}
			got := o.inOrder()
			if len(got) != 1 || got[0].Codec != codec || got[0].Epoch != 7 || got[0].Frames != 20 || got[0].EndReason != EndCrash || got[0].Bytes != int64(len(data)) {
				t.Errorf("%+v", got)
			}
			if n, err := rec.Recover(t.Context()); n != 0 || err != nil {
				t.Errorf("again: %d repaired, %v", n, err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 2 {
				t.Errorf("%d files are left, want the repaired one and the stranger", len(entries))
			}
		})
	}
}

// TestRecoverLeavesTheLiving looks at a file that another recorder has open.
func TestRecoverLeavesTheLiving(t *testing.T) {
	p := newPlayer(t, Config{})
	p.play(21)
	past := time.Now().Add(-time.Minute)
	if err := os.Chtimes(p.rec.openPath(), past, past); err != nil {
		t.Fatal(err)
	}
	rec, err := New(Config{Dir: p.dir}, &told{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := rec.Recover(t.Context()); n != 0 || err != nil {
		t.Errorf("%d repaired, %v", n, err)
	}
	p.play(4)
	p.rec.Cut(EndStop)
	p.check(Segment{EndReason: EndStop, Frames: 25, Width: 320})
}

func TestExcess(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var files []kept // five of 10 bytes, the oldest five hours old
	for h := range 5 {
		files = append(files, kept{bytes: 10, written: now.Add(time.Duration(h-5) * time.Hour)})
	}
	for name, c := range map[string]struct {
		keep        Retention
		free, total int64
		want        int
	}{
		"no bounds":       {Retention{}, 0, 1000, 0},
		"age":             {Retention{MaxAge: 150 * time.Minute}, 0, 0, 3},
		"bytes":           {Retention{MaxBytes: 30}, 0, 0, 2},
		"bytes fit":       {Retention{MaxBytes: 50}, 0, 0, 0},
		"disk":            {Retention{MinFree: 0.05}, 25, 1000, 3},
		"disk unknown":    {Retention{MinFree: 0.05}, 0, 0, 0},
		"the newest stay": {Retention{MaxAge: time.Minute, MaxBytes: 1, MinFree: 0.5}, 0, 1000, 4},
	} {
		if n := excess(files, c.keep, now, c.free, c.total); n != c.want {
			t.Errorf("%s: %d, want %d", name, n, c.want)
		}
	}
}

func TestRetain(t *testing.T) {
	p := newPlayer(t, Config{Segment: time.Second, Retention: Retention{MaxBytes: 40000}})
	p.play(65)
	open := p.rec.openPath()
	if err := p.rec.Retain(time.Now()); err != nil {
		t.Fatal(err)
	}
	var bytes int64
	files, err := closedFiles(p.dir, open)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		bytes += f.bytes
	}
	if bytes > 40000 || bytes < 20000 {
		t.Errorf("%d bytes are left", bytes)
	}
	deleted := 0
	for i, s := range p.told.inOrder() {
		if s.EndReason == EndDeleted {
			deleted++
			if i != deleted-1 {
				t.Error("not the oldest first")
			}
			if _, err := os.Stat(s.Path); !os.IsNotExist(err) {
				t.Errorf("%s is still there", s.Path)
			}
		}
	}
	if deleted == 0 || !slices.Contains(p.told.order, open) {
		t.Errorf("%d deleted", deleted)
	}
	p.rec.Cut(EndStop)
}

// TestRun sees the Janitor repair, delete when a segment ends, and end.
func TestRun(t *testing.T) {
	p := newPlayer(t, Config{Segment: time.Second, Retention: Retention{MaxBytes: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.rec.Run(ctx) }()
	p.play(55)
	deadline := time.After(30 * time.Second)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		files, err := closedFiles(p.dir, p.rec.openPath())
		if err == nil && len(files) == 1 {
			break
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%d files are left, %v", len(files), err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.rec.Cut(EndStop)
}
