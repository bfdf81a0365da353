package fmp4

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// clips are one of each codec.
var clips = []string{"320x180", "320x180-h265"}

// file makes a recording of parts of two pictures, 10 a second, and returns the ends of header and parts.
func file(t testing.TB, clip string) (data []byte, ends []int) {
	t.Helper()
	units, err := rtsptest.Units(clip)
	if err != nil {
		t.Fatal(err)
	}
	data, err = Header(units[0].Params)
	if err != nil {
		t.Fatal(err)
	}
	ends = append(ends, len(data))
	for i := 0; i+2 <= len(units); i += 2 {
		var samples []Sample
		for _, u := range units[i : i+2] {
			samples = append(samples, Sample{Duration: video.ClockRate / 10, Key: u.Key, Data: AppendNALs(nil, u.NALs)})
		}
		data = AppendPart(data, uint32(len(ends)), uint64(i)*video.ClockRate/10, samples)
		ends = append(ends, len(data))
	}
	return data, ends
}

// TestWalkCutAnywhere cuts a file at every byte: what is whole is always found.
func TestWalkCutAnywhere(t *testing.T) {
	for i, clip := range clips {
		t.Run(clip, func(t *testing.T) {
			data, ends := file(t, clip)
			codec := []video.Codec{video.H264, video.H265}[i]
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
					want = Info{
						Whole: int64(ends[part]), Parts: part, Frames: 2 * part, Duration: time.Duration(part) * 200 * time.Millisecond,
						Codec: codec, Width: 320, Height: 180,
					}
				}
				if info != want {
					t.Fatalf("%d bytes: %+v, want %+v", n, info, want)
				}
			}
		})
	}
}

func TestHeader(t *testing.T) {
	for name, p := range map[string]*video.Params{
		"nothing":       nil,
		"no sets":       {Codec: video.H264, Width: 320, Height: 180},
		"unknown codec": {Codec: "theora", Config: []byte{1}, Width: 320, Height: 180},
		"too wide":      {Codec: video.H265, Config: []byte{1}, Width: 1 << 17, Height: 180},
	} {
		if _, err := Header(p); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestSeal(t *testing.T) {
	data, ends := file(t, clips[0])
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
	data, _ := file(t, clips[0])
	for name, in := range map[string][]byte{
		"text":  []byte("this is no recording at all"),
		"other": bytes.Replace(data, []byte("avc1\x00"), []byte("vp09\x00"), -1),
		"moov":  data[20:],
	} {
		if info, err := Walk(bytes.NewReader(in), int64(len(in))); !errors.Is(err, ErrNotOurs) && info.Whole != 0 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
}

func FuzzWalk(f *testing.F) {
	for _, clip := range clips {
		data, ends := file(f, clip)
		f.Add(data[:ends[2]+17])
		f.Add(append(bytes.Clone(data[:ends[1]]), Seal("stop")...))
	}
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
