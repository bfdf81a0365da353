package fmp4

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/h264"
)

// params are those of the clip of package rtsptest.
func params(t testing.TB) (*h264.Params, []h264.Unit) {
	t.Helper()
	stream, err := os.ReadFile("../rtsptest/testdata/clip320.h264")
	if err != nil {
		t.Fatal(err)
	}
	var sets h264.ParamSets
	var units []h264.Unit
	for _, nal := range h264.SplitAnnexB(stream) {
		switch h264.Type(nal) {
		case h264.TypeSPS, h264.TypePPS:
			if err := sets.Add(nal); err != nil {
				t.Fatal(err)
			}
		case h264.TypeIDR, h264.TypeSlice:
			units = append(units, h264.Unit{NALs: [][]byte{nal}, Key: h264.Type(nal) == h264.TypeIDR, Params: sets.Params()})
		}
	}
	return sets.Params(), units
}

// file makes a recording of parts of two pictures, 10 a second, and returns the ends of header and parts.
func file(t testing.TB) (data []byte, ends []int) {
	t.Helper()
	p, units := params(t)
	data, err := Header(p)
	if err != nil {
		t.Fatal(err)
	}
	ends = append(ends, len(data))
	for i := 0; i+2 <= len(units); i += 2 {
		var samples []Sample
		for _, u := range units[i : i+2] {
			samples = append(samples, Sample{Duration: h264.ClockRate / 10, Key: u.Key, Data: AppendNALs(nil, u.NALs)})
		}
		data = AppendPart(data, uint32(len(ends)), uint64(i)*h264.ClockRate/10, samples)
		ends = append(ends, len(data))
	}
	return data, ends
}

// TestWalkCutAnywhere cuts a file at every byte: what is whole is always found.
func TestWalkCutAnywhere(t *testing.T) {
	data, ends := file(t)
	part := -1
	for n := range len(data) + 1 {
		if part+1 < len(ends) && n >= ends[part+1] {
			part++
		}
		info, err := Walk(bytes.NewReader(data[:n]), int64(n))
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		want := Info{}
		if part >= 0 {
			want = Info{Whole: int64(ends[part]), Parts: part, Frames: 2 * part, Duration: time.Duration(part) * 200 * time.Millisecond, Width: 320, Height: 180}
		}
		if info != want {
			t.Fatalf("%d bytes: %+v, want %+v", n, info, want)
		}
	}
}

func TestSeal(t *testing.T) {
	data, ends := file(t)
	if _, ok := ReadSeal(bytes.NewReader(data), int64(len(data))); ok {
		t.Error("a seal where none is")
	}
	sealed := append(bytes.Clone(data), Seal("rotate")...)
	info, err := Walk(bytes.NewReader(sealed), int64(len(sealed)))
	if err != nil || info.EndReason != "rotate" || info.Whole != int64(len(sealed)) || info.Parts != len(ends)-1 {
		t.Errorf("%+v, %v", info, err)
	}
	cut := append(bytes.Clone(data[:len(data)-100]), Seal("rotate")...) // a seal behind a part that is not whole
	if info, err = Walk(bytes.NewReader(cut), int64(len(cut))); err != nil || info.EndReason != "" || info.Parts != len(ends)-2 {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestWalkForeign(t *testing.T) {
	data, _ := file(t)
	for name, in := range map[string][]byte{
		"text":  []byte("this is no recording at all"),
		"other": bytes.Replace(data, []byte("avc1\x00"), []byte("hvc1\x00"), -1),
		"moov":  data[20:],
	} {
		if info, err := Walk(bytes.NewReader(in), int64(len(in))); !errors.Is(err, ErrNotOurs) && info.Whole != 0 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
}

func FuzzWalk(f *testing.F) {
	data, ends := file(f)
	f.Add(data[:ends[2]+17])
	f.Add(append(bytes.Clone(data[:ends[1]]), Seal("stop")...))
	f.Add([]byte("\x00\x00\x00\x08ftyp\x00\x00\x00\x08moov"))
	f.Fuzz(func(t *testing.T, in []byte) {
		info, err := Walk(bytes.NewReader(in), int64(len(in)))
		if info.Whole < 0 || info.Whole > int64(len(in)) || info.Parts < 0 || info.Duration < 0 {
			t.Fatalf("%+v, %v", info, err)
		}
		if err != nil || info.EndReason != "" {
			return
		}
		again, err := Walk(bytes.NewReader(in[:info.Whole]), info.Whole) // repairing twice changes nothing
		if err != nil || again != info {
			t.Fatalf("%+v, then %+v, %v", info, again, err)
		}
	})
}
