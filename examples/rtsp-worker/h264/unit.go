package h264

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
	// Params are the parameter sets that hold for this unit; units share one value until the camera changes them.
	Params *Params
}

// Params are the parameter sets of a stream.
type Params struct {
	// SPS is the sequence parameter set, PPS all picture parameter sets in the order of their ids.
	SPS []byte
	PPS [][]byte
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
	if p == nil || o == nil || !bytes.Equal(p.SPS, o.SPS) || len(p.PPS) != len(o.PPS) {
		return false
	}
	for i := range p.PPS {
		if !bytes.Equal(p.PPS[i], o.PPS[i]) {
			return false
		}
	}
	return true
}
