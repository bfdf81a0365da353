package h264

import (
	"errors"
	"os"
	"testing"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

func TestClips(t *testing.T) {
	for name, want := range map[string][2]int{"clip320": {320, 180}, "clip192": {192, 108}} {
		stream, err := os.ReadFile("../rtsptest/testdata/" + name + ".h264")
		if err != nil {
			t.Fatal(err)
		}
		sets := NewParamSets()
		keys, pictures := 0, 0
		for _, nal := range video.SplitAnnexB(stream) {
			switch Kind(nal) {
			case video.KindParams:
				before := sets.Params()
				if err := sets.Add(nal); err != nil {
					t.Fatal(err)
				}
				if before != nil && sets.Params() != before {
					t.Error("the same parameter sets made new ones")
				}
			case video.KindKey:
				keys++
				pictures++
			case video.KindPicture:
				pictures++
			}
		}
		p := sets.Params()
		if p == nil || p.Width != want[0] || p.Height != want[1] || p.Reorder != 0 {
			t.Fatalf("%s: %+v", name, p)
		}
		if keys*10 != pictures {
			t.Errorf("%s: %d pictures, %d key frames", name, pictures, keys)
		}
	}
}

func TestParamSets(t *testing.T) {
	s := NewParamSets()
	if err := s.Add([]byte{0x67, 0x42}); !errors.Is(err, video.ErrParams) {
		t.Errorf("a cut sps: %v", err)
	}
	if err := s.Add([]byte{0x68}); !errors.Is(err, video.ErrParams) {
		t.Errorf("a cut pps: %v", err)
	}
	if s.Params() != nil {
		t.Error("parameters of nothing")
	}
}

func TestKind(t *testing.T) {
	for nal, want := range map[string]video.Kind{
		"": video.KindInvalid, "\x60": video.KindInvalid, "\x7c\x85\x01": video.KindInvalid, "\x65": video.KindKey, "\x41": video.KindPicture,
		"\x67": video.KindParams, "\x68": video.KindParams, "\x09": video.KindSkip, "\x0c": video.KindSkip, "\x06": video.KindOther,
	} {
		if got := Kind([]byte(nal)); got != want {
			t.Errorf("%x: %d, want %d", nal, got, want)
		}
	}
}

func FuzzParams(f *testing.F) {
	f.Add([]byte{0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58})
	f.Add([]byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x01, 0x41, 0xfb, 0x01, 0x10})
	f.Fuzz(func(t *testing.T, nal []byte) {
		if s, err := ParseSPS(nal); err == nil && (s.Width < 16 || s.Height < 16 || s.Width > video.MaxSide || s.Height > video.MaxSide || s.Reorder > 16) {
			t.Fatalf("%+v", s)
		}
		_, _ = PPSID(nal)
		sets := NewParamSets()
		for _, n := range video.SplitAnnexB(nal) {
			_ = sets.Add(n)
		}
	})
}
