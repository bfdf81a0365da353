package h264

import (
	"encoding/binary"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

var syntax = video.Syntax[SPS]{Type: Type, SPS: TypeSPS, ParseSPS: ParseSPS, PPSID: PPSID, Params: params}

// NewParamSets returns a collection of SPS and PPS that is empty.
func NewParamSets() *video.Sets[SPS] { return video.NewSets(&syntax) }

// params builds an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 5.3.3.1).
func params(parsed SPS, _, sps []byte, pps [][]byte) *video.Params {
	out := []byte{1, sps[1], sps[2], sps[3], 0xff, 0xe1} // lengths of four bytes, one SPS
	out = appendSet(out, sps)
	out = append(out, byte(len(pps)))
	for _, nal := range pps {
		out = appendSet(out, nal)
	}
	switch sps[1] {
	case 100, 110, 122, 144: // the extension that the standard asks for; 4:2:0, 8 bits is all that cameras send
		out = append(out, 0xfc|1, 0xf8, 0xf8, 0)
	}
	return &video.Params{Codec: video.H264, Config: out, Width: parsed.Width, Height: parsed.Height, Reorder: parsed.Reorder}
}

func appendSet(out, nal []byte) []byte {
	return append(binary.BigEndian.AppendUint16(out, uint16(len(nal))), nal...)
}
