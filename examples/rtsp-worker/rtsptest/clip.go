package rtsptest

import (
	_ "embed" // the clips below

	"github.com/skalds-go/skalds/examples/rtsp-worker/h264"
)

//go:embed testdata/clip320.h264
var clip320 []byte

//go:embed testdata/clip192.h264
var clip192 []byte

// clip is a sequence of access units, each a list of NAL units.
type clip struct {
	units    [][][]byte
	sps, pps []byte
}

// cutClip cuts an Annex B stream into access units. Every slice of the clips begins a new picture.
func cutClip(stream []byte) clip {
	var c clip
	var unit [][]byte
	for _, nal := range h264.SplitAnnexB(stream) {
		switch h264.Type(nal) {
		case h264.TypeSPS:
			c.sps = nal
		case h264.TypePPS:
			c.pps = nal
		}
		unit = append(unit, nal)
		if h264.IsPicture(nal) {
			c.units = append(c.units, unit)
			unit = nil
		}
	}
	return c
}
