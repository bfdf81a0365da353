package h265

import (
	"encoding/binary"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

var syntax = video.Syntax[SPS]{
	Type: Type, VPS: TypeVPS, SPS: TypeSPS, CheckVPS: checkVPS, ParseSPS: ParseSPS, PPSID: PPSID, Params: params,
}

// NewParamSets returns a collection of VPS, SPS and PPS that is empty.
func NewParamSets() *video.Sets[SPS] { return video.NewSets(&syntax) }

// params builds an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 8.3.3.1).
func params(p SPS, vps, sps []byte, pps [][]byte) *video.Params {
	out := append([]byte{1}, p.Profile[:]...)
	out = append(out, 0xf0, 0, 0xfc) // segmentation and parallelism: not said
	out = append(out, 0xfc|p.Chroma, 0xf8|p.LumaDepth, 0xf8|p.ChromaDepth)
	out = append(out, 0, 0)            // frame rate: not said
	layers := byte(p.SubLayers)<<3 | 3 // lengths of four bytes
	if p.Nested {
		layers |= 4
	}
	out = append(out, layers, 3)
	out = appendSets(out, TypeVPS, vps)
	out = appendSets(out, TypeSPS, sps)
	out = appendSets(out, TypePPS, pps...)
	return &video.Params{Codec: video.H265, Config: out, Width: p.Width, Height: p.Height, Reorder: p.Reorder}
}

// appendSets appends the array of one kind; it is complete: the pictures bring no more.
func appendSets(out []byte, kind byte, nals ...[]byte) []byte {
	out = binary.BigEndian.AppendUint16(append(out, 0x80|kind), uint16(len(nals)))
	for _, nal := range nals {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(nal))), nal...)
	}
	return out
}
