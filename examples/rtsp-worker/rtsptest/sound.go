package rtsptest

import (
	_ "embed" // the sound below
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
)

//go:embed testdata/tone.aac
var tone []byte

// Sounds that a camera may have beside its video.
const (
	SoundNone = "none"
	SoundAAC  = "aac"
	// SoundPCMU is G.711, silence: nothing that the recorder can keep.
	SoundPCMU = "pcmu"
)

// Sounds names them; the first is the default.
func Sounds() []string { return []string{SoundNone, SoundAAC, SoundPCMU} }

// SoundFrames returns the built-in sound as a client should receive it, without times.
func SoundFrames() ([]aac.Frame, error) {
	datas, config, err := aac.SplitADTS(tone)
	if err != nil {
		return nil, fmt.Errorf("read built-in sound: %w", err)
	}
	frames := make([]aac.Frame, len(datas))
	for i, data := range datas {
		frames[i] = aac.Frame{Data: data, Config: config}
	}
	return frames, nil
}

// sound is what a camera sends beside its video.
type sound struct {
	payloadType uint8
	media       string   // its lines in the description
	rate        int      // of the RTP clock
	ticks       int      // of a packet
	payloads    [][]byte // one after the other, in a loop
}

// newSound returns nil for a camera without.
func newSound(name string) (*sound, error) {
	switch name {
	case "", SoundNone:
		return nil, nil
	case SoundPCMU:
		silence := make([]byte, 160)
		for i := range silence {
			silence[i] = 0xff
		}
		return &sound{payloadType: 0, media: "m=audio 0 RTP/AVP 0\r\n", rate: 8000, ticks: len(silence), payloads: [][]byte{silence}}, nil
	case SoundAAC:
	default:
		return nil, fmt.Errorf("sound %q is unknown: use one of %s", name, strings.Join(Sounds(), ", "))
	}
	frames, err := SoundFrames()
	if err != nil {
		return nil, err
	}
	config := frames[0].Config
	s := &sound{
		payloadType: 97, rate: config.Rate, ticks: config.FrameTicks,
		media: fmt.Sprintf("m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/%d/%d\r\n"+
			"a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=%X\r\n", config.Rate, config.Channels, config.Raw),
	}
	for _, f := range frames { // RFC 3640, section 3.2: 16 bits of headers, that is one
		head := binary.BigEndian.AppendUint16([]byte{0, 16}, uint16(len(f.Data)<<3))
		s.payloads = append(s.payloads, slices.Concat(head, f.Data))
	}
	return s, nil
}
