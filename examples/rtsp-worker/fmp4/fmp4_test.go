package fmp4

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// clips are one of each codec.
var clips = []string{"320x180", "320x180-h265"}

// file makes a recording of parts of two pictures, 10 a second, and returns the ends of header and parts. Where it has sound, parts
// hold three frames of it, but for some that have none.
func file(t testing.TB, clip string, sound bool) (data []byte, ends []int) {
	t.Helper()
	units, err := rtsptest.Units(clip)
	if err != nil {
		t.Fatal(err)
	}
	var config *aac.Config
	frames, err := rtsptest.SoundFrames()
	if err != nil {
		t.Fatal(err)
	}
	if sound {
		config = frames[0].Config
	}
	data, err = Header(units[0].Params, config)
	if err != nil {
		t.Fatal(err)
	}
	ends = append(ends, len(data))
	for i := 0; i+2 <= len(units); i += 2 {
		pictures := Run{Base: uint64(i) * video.ClockRate / 10}
		for _, u := range units[i : i+2] {
			pictures.Samples = append(pictures.Samples, Sample{Duration: video.ClockRate / 10, Key: u.Key, Data: AppendNALs(nil, u.NALs)})
		}
		heard := Run{Base: uint64(i) * uint64(frames[0].Config.Rate) / 10}
		if sound && i%6 != 2 {
			for _, f := range frames[i : i+3] {
				heard.Samples = append(heard.Samples, Sample{Duration: uint32(f.Config.FrameTicks), Data: f.Data})
			}
		}
		data = AppendPart(data, uint32(len(ends)), pictures, heard)
		ends = append(ends, len(data))
	}
	return data, ends
}

// TestWalkCutAnywhere cuts a file at every byte: what is whole is always found.
func TestWalkCutAnywhere(t *testing.T) {
	for i, clip := range clips {
		for _, sound := range []bool{false, true} {
			t.Run(fmt.Sprint(clip, " sound ", sound), func(t *testing.T) {
				data, ends := file(t, clip, sound)
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
							Codec: codec, Width: 320, Height: 180, Sound: sound,
						}
					}
					if info != want {
						t.Fatalf("%d bytes: %+v, want %+v", n, info, want)
					}
				}
			})
		}
	}
}

func TestHeader(t *testing.T) {
	for name, p := range map[string]*video.Params{
		"nothing":       nil,
		"no sets":       {Codec: video.H264, Width: 320, Height: 180},
		"unknown codec": {Codec: "theora", Config: []byte{1}, Width: 320, Height: 180},
		"too wide":      {Codec: video.H265, Config: []byte{1}, Width: 1 << 17, Height: 180},
	} {
		if _, err := Header(p, nil); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestSeal(t *testing.T) {
	data, ends := file(t, clips[0], true)
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
	data, _ := file(t, clips[0], true)
	for name, in := range map[string][]byte{
		"text":  []byte("this is no recording at all"),
		"other": bytes.Replace(data, []byte("avc1\x00"), []byte("vp09\x00"), -1),
		"sound": bytes.Replace(data, []byte("mp4a\x00"), []byte("Opus\x00"), -1),
		"moov":  data[20:],
	} {
		if info, err := Walk(bytes.NewReader(in), int64(len(in))); !errors.Is(err, ErrNotOurs) && info.Whole != 0 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
}

// TestForeignReader lets ffmpeg count and decode both tracks, where it is installed.
func TestForeignReader(t *testing.T) {
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		t.Skip("ffprobe is not installed")
	}
	for _, clip := range clips {
		data, _ := file(t, clip, true)
		path := filepath.Join(t.TempDir(), "sound.mp4")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(ffprobe, "-v", "error", "-count_frames", "-show_entries", "stream=codec_tag_string,sample_rate,channels,nb_read_frames", "-of", "csv=p=0", path).CombinedOutput()
		want := map[string]string{clips[0]: "avc1,30\nmp4a,16000,1,30\n", clips[1]: "hvc1,30\nmp4a,16000,1,30\n"}[clip]
		if err != nil || string(out) != want {
			t.Errorf("%s: %s, %v", clip, out, err)
		}
	}
}

func FuzzWalk(f *testing.F) {
	for _, clip := range clips {
		for _, sound := range []bool{false, true} {
			data, ends := file(f, clip, sound)
			f.Add(data[:ends[2]+17])
			f.Add(append(bytes.Clone(data[:ends[1]]), Seal("stop")...))
		}
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
