package h265

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// ParamSets collects the parameter sets of a stream as they arrive and says when they changed. The zero value is ready.
type ParamSets struct {
	vps     []byte
	sps     []byte
	parsed  SPS
	pps     map[int][]byte
	current *video.Params
}

var _ video.ParamSets = (*ParamSets)(nil)

// Add takes a VPS, SPS or PPS; an unusable one is refused and changes nothing. A new SPS forgets the PPS of the old one.
func (s *ParamSets) Add(nal []byte) error {
	if len(nal) > video.MaxSet {
		return fmt.Errorf("read parameter set of %d bytes: %w", len(nal), video.ErrParams)
	}
	switch Type(nal) {
	case TypeVPS:
		if bytes.Equal(s.vps, nal) {
			return nil
		}
		if err := checkVPS(nal); err != nil {
			return err
		}
		s.vps, s.current = bytes.Clone(nal), nil
		return nil
	case TypeSPS:
		if bytes.Equal(s.sps, nal) {
			return nil
		}
		parsed, err := ParseSPS(nal)
		if err != nil {
			return err
		}
		s.sps, s.parsed, s.pps, s.current = bytes.Clone(nal), parsed, nil, nil
		return nil
	}
	id, err := PPSID(nal)
	if err != nil {
		return err
	}
	if bytes.Equal(s.pps[id], nal) {
		return nil
	}
	if s.pps == nil {
		s.pps = map[int][]byte{}
	}
	s.pps[id] = bytes.Clone(nal)
	s.current = nil
	return nil
}

// Params returns what holds now, the same pointer until it changes; nil while one of the three kinds is missing.
func (s *ParamSets) Params() *video.Params {
	if s.current != nil || s.vps == nil || s.sps == nil || len(s.pps) == 0 {
		return s.current
	}
	s.current = &video.Params{Codec: video.H265, Config: s.config(), Width: s.parsed.Width, Height: s.parsed.Height, Reorder: s.parsed.Reorder}
	return s.current
}

// config builds an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 8.3.3.1) with the PPS in the order of their ids.
func (s *ParamSets) config() []byte {
	p := s.parsed
	out := append([]byte{1}, p.Profile[:]...)
	out = append(out, 0xf0, 0, 0xfc) // segmentation and parallelism: not said
	out = append(out, 0xfc|p.Chroma, 0xf8|p.LumaDepth, 0xf8|p.ChromaDepth)
	out = append(out, 0, 0)            // frame rate: not said
	layers := byte(p.SubLayers)<<3 | 3 // lengths of four bytes
	if p.Nested {
		layers |= 4
	}
	out = append(out, layers, 3)
	out = appendSets(out, TypeVPS, s.vps)
	out = appendSets(out, TypeSPS, s.sps)
	ids := make([]int, 0, len(s.pps))
	for id := range s.pps {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	pps := make([][]byte, len(ids))
	for i, id := range ids {
		pps[i] = s.pps[id]
	}
	return appendSets(out, TypePPS, pps...)
}

// appendSets appends the array of one kind; it is complete: the pictures bring no more.
func appendSets(out []byte, kind byte, nals ...[]byte) []byte {
	out = binary.BigEndian.AppendUint16(append(out, 0x80|kind), uint16(len(nals)))
	for _, nal := range nals {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(nal))), nal...)
	}
	return out
}
