package h265

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"testing"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

func TestClips(t *testing.T) {
	for name, want := range map[string][2]int{"clip320": {320, 180}, "clip192": {192, 108}} {
		stream, err := os.ReadFile("../rtsptest/testdata/" + name + ".h265")
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
			default:
				t.Errorf("%s: NAL unit of type %d", name, Type(nal))
			}
		}
		p := sets.Params()
		if p == nil || p.Width != want[0] || p.Height != want[1] || p.Reorder != 0 || p.Codec != video.H265 {
			t.Fatalf("%s: %+v", name, p)
		}
		if keys*10 != pictures {
			t.Errorf("%s: %d pictures, %d key frames", name, pictures, keys)
		}
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Parameter sets that x265 wrote: 1920x1080 with B-frames, cropped from 1088 lines.
const (
	hdVPS = "40010c02ffff01600000030090000003000003007800009594aca048"
	hdSPS = "42010201600000030090000003000003007800" + "00a003c0801107cb965652b2a5261780b40400000300040000030028" + "20"
	hdPPS = "4401c073c189"
)

func TestParseSPS(t *testing.T) {
	s, err := ParseSPS(unhex(t, hdSPS))
	if err != nil {
		t.Fatal(err)
	}
	if s.Width != 1920 || s.Height != 1080 || s.Reorder != 2 || s.SubLayers != 2 || s.Chroma != 1 || s.LumaDepth != 0 || s.Profile[0] != 1 || s.Profile[11] != 120 {
		t.Errorf("%+v", s)
	}
}

func TestParamSets(t *testing.T) {
	s := NewParamSets()
	vps, sps, pps := unhex(t, hdVPS), unhex(t, hdSPS), unhex(t, hdPPS)
	for name, bad := range map[string][]byte{
		"vps": vps[:5], "damaged vps": append([]byte{0x40, 1, 0x0c, 2, 0xff, 0xfe}, vps[6:]...), "sps": sps[:20], "pps": pps[:2], "slice": {2, 1, 0xd0},
		"long": append(bytes.Clone(pps), make([]byte, video.MaxSet)...),
	} {
		if err := s.Add(bad); !errors.Is(err, video.ErrParams) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, nal := range [][]byte{pps, sps, vps} {
		if s.Params() != nil {
			t.Error("parameters of nothing")
		}
		if err := s.Add(nal); err != nil {
			t.Fatal(err)
		}
	}
	if s.Params() != nil {
		t.Error("an SPS kept the PPS of another one")
	}
	if err := s.Add(pps); err != nil {
		t.Fatal(err)
	}
	first := s.Params()
	if first == nil {
		t.Fatal("no parameters")
	}
	other := append(bytes.Clone(vps), 0x80)
	if err := s.Add(other); err != nil {
		t.Fatal(err)
	}
	if s.Params() == first || s.Params().Equal(first) {
		t.Error("another VPS makes no difference")
	}
	for _, set := range [][]byte{other, sps, pps} {
		if !bytes.Contains(s.Params().Config, set) {
			t.Errorf("the record lacks %x", set)
		}
	}
}

func TestKind(t *testing.T) {
	for nal, want := range map[string]video.Kind{
		"": video.KindInvalid, "\x26": video.KindInvalid, // cut
		"\xa6\x01": video.KindInvalid, "\x26\x00": video.KindInvalid, "\x26\x09": video.KindInvalid, "\x27\x01": video.KindInvalid, // forbidden bit, no temporal id, layers
		"\x02\x01": video.KindPicture, "\x12\x02": video.KindPicture, "\x14\x01": video.KindInvalid,
		"\x1e\x01": video.KindInvalid, "\x20\x01": video.KindKey, "\x26\x01": video.KindKey, "\x28\x01": video.KindKey, "\x2a\x01": video.KindKey, "\x2c\x01": video.KindInvalid,
		"\x40\x01": video.KindParams, "\x42\x01": video.KindParams, "\x44\x01": video.KindParams,
		"\x46\x01": video.KindSkip, "\x4c\x01": video.KindSkip, "\x48\x01": video.KindOther, "\x4e\x01": video.KindOther, "\x50\x01": video.KindOther,
		"\x52\x01": video.KindInvalid, "\x60\x01": video.KindInvalid, "\x62\x01": video.KindInvalid,
	} {
		if got := Kind([]byte(nal)); got != want {
			t.Errorf("%x: %d, want %d", nal, got, want)
		}
	}
}

func FuzzParams(f *testing.F) {
	for _, set := range []string{hdVPS, hdSPS, hdPPS} {
		f.Add(unhex(f, set))
	}
	f.Add(append(append(append([]byte{0, 0, 1}, unhex(f, hdVPS)...), append([]byte{0, 0, 1}, unhex(f, hdSPS)...)...), append([]byte{0, 0, 1}, unhex(f, hdPPS)...)...))
	f.Fuzz(func(t *testing.T, nal []byte) {
		if s, err := ParseSPS(nal); err == nil && (s.Width < 16 || s.Height < 16 || s.Width > video.MaxSide || s.Height > video.MaxSide || s.Reorder > 15 || s.SubLayers > 7) {
			t.Fatalf("%+v", s)
		}
		_, _ = PPSID(nal)
		sets := NewParamSets()
		for _, n := range video.SplitAnnexB(nal) {
			_ = sets.Add(n)
		}
		if p := sets.Params(); p != nil && len(p.Config) < 23 {
			t.Fatalf("%+v", p)
		}
	})
}
