package aac

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

func TestParseConfig(t *testing.T) {
	for name, c := range map[string]struct {
		raw   []byte
		rate  int
		want  Config
		wrong bool
	}{
		"LC 16 kHz mono":          {raw: []byte{0x14, 0x08}, rate: 16000, want: Config{Rate: 16000, Channels: 1, FrameTicks: 1024}},
		"LC 48 kHz stereo":        {raw: []byte{0x11, 0x90}, rate: 48000, want: Config{Rate: 48000, Channels: 2, FrameTicks: 1024}},
		"LC, frames of 960":       {raw: []byte{0x14, 0x0c}, rate: 16000, want: Config{Rate: 16000, Channels: 1, FrameTicks: 960}},
		"seven point one":         {raw: []byte{0x11, 0xb8}, rate: 48000, want: Config{Rate: 48000, Channels: 8, FrameTicks: 1024}},
		"rate written out":        {raw: []byte{0x17, 0x80, 0x1f, 0x40, 0x08}, rate: 16000, want: Config{Rate: 16000, Channels: 1, FrameTicks: 1024}},
		"HE, clock of the output": {raw: []byte{0x2b, 0x09, 0x88, 0x00}, rate: 48000, want: Config{Rate: 48000, Channels: 1, FrameTicks: 2048}},
		"nothing":                 {rate: 16000, wrong: true},
		"cut short":               {raw: []byte{0x14}, rate: 16000, wrong: true},
		"channels in the stream":  {raw: []byte{0x14, 0x00}, rate: 16000, wrong: true},
		"reserved rate":           {raw: []byte{0x16, 0x88}, rate: 16000, wrong: true},
		"low delay":               {raw: []byte{0xbc, 0x08}, rate: 16000, wrong: true},
		"no clock":                {raw: []byte{0x14, 0x08}, wrong: true},
		"long":                    {raw: append([]byte{0x14, 0x08}, make([]byte, maxConfig)...), rate: 16000, wrong: true},
	} {
		got, err := ParseConfig(c.raw, c.rate)
		if c.wrong {
			if !errors.Is(err, ErrConfig) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got.Raw, c.raw) || got.Rate != c.want.Rate || got.Channels != c.want.Channels || got.FrameTicks != c.want.FrameTicks {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestADTS(t *testing.T) {
	stream, err := os.ReadFile("../rtsptest/testdata/tone.aac")
	if err != nil {
		t.Fatal(err)
	}
	frames, config, err := SplitADTS(stream)
	if err != nil || len(frames) != 47 || !bytes.Equal(config.Raw, []byte{0x14, 0x08}) || config.Rate != 16000 {
		t.Fatalf("%d frames, %+v, %v", len(frames), config, err)
	}
	whole := stream[:7+len(frames[0])]
	if !bytes.Equal(StripADTS(whole), frames[0]) {
		t.Error("the header was left")
	}
	for _, frame := range append(frames, whole[:len(whole)-1], nil) {
		if !bytes.Equal(StripADTS(frame), frame) {
			t.Errorf("a frame of %d bytes was cut", len(frame))
		}
	}
	for name, bad := range map[string][]byte{"nothing": nil, "cut short": stream[:len(stream)-1], "text": []byte("this is no sound"), "rate": {0xff, 0xf1, 0x7c, 0x40, 0, 0xff, 0xfc}} {
		if _, _, err := SplitADTS(bad); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzADTS(f *testing.F) {
	f.Add([]byte{0xff, 0xf1, 0x60, 0x40, 0x01, 0x1f, 0xfc, 1})
	f.Add([]byte{0x14, 0x08})
	f.Fuzz(func(t *testing.T, in []byte) {
		frames, _, err := SplitADTS(in)
		if n := len(bytes.Join(frames, nil)); err == nil && n+7*len(frames) > len(in) {
			t.Fatalf("%d bytes in %d frames", n, len(frames))
		}
		if out := StripADTS(in); len(out) > len(in) {
			t.Fatal("longer than before")
		}
		if c, err := ParseConfig(in, 16000); err == nil && (c.Channels < 1 || c.FrameTicks < 1) {
			t.Fatalf("%+v", c)
		}
	})
}
