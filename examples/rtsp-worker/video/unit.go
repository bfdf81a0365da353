package video

import "bytes"

// ClockRate is the number of ticks per second of Unit.Time: RTP's clock for video.
const ClockRate = 90000

// Unit is one complete access unit: one picture as the camera sent it.
type Unit struct {
	// Time is the picture's time of presentation in ticks of ClockRate, counted from the first unit of the connection. It never
	// jumps: the receiver rebases a camera's clock.
	Time int64
	// NALs are the NAL units without start codes, parameter sets, delimiters and filler.
	NALs [][]byte
	// Key says that decoding can begin here.
	Key bool
	// Params are what holds for this unit; units share one value until the camera changes its parameter sets.
	Params *Params
}

// Codec is a way of coding video.
type Codec string

// The codecs.
const (
	H264 Codec = "h264"
	H265 Codec = "h265"
)

// Params are what a decoder must know of a stream.
type Params struct {
	Codec Codec
	// Config is the decoder configuration record of ISO/IEC 14496-15, which holds all parameter sets: the body of avcC or hvcC.
	Config []byte
	// Width and Height of the picture in pixels, after cropping.
	Width, Height int
	// Reorder is the number of pictures that may have to be held back because they are shown later than they are sent (B-frames).
	Reorder int
}

// Equal says whether both describe the same stream.
func (p *Params) Equal(o *Params) bool {
	if p == o {
		return true
	}
	return p != nil && o != nil && p.Codec == o.Codec && bytes.Equal(p.Config, o.Config)
}
