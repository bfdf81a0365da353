package h264

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// ParamSets collects the parameter sets of a stream as they arrive and says when they changed. The zero value is ready.
type ParamSets struct {
	sps     []byte
	parsed  SPS
	pps     map[int][]byte
	current *video.Params
}

var _ video.ParamSets = (*ParamSets)(nil)

// maxPPS is how many a file can hold.
const maxPPS = 255

// Add takes an SPS or PPS; an unusable one is refused and changes nothing. A new SPS forgets the PPS of the old one.
func (s *ParamSets) Add(nal []byte) error {
	if len(nal) > video.MaxSet {
		return fmt.Errorf("read parameter set of %d bytes: %w", len(nal), video.ErrParams)
	}
	if Type(nal) == TypeSPS {
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
	old, known := s.pps[id]
	if known && bytes.Equal(old, nal) {
		return nil
	}
	if !known && len(s.pps) == maxPPS {
		return fmt.Errorf("read pps: more than %d: %w", maxPPS, video.ErrParams)
	}
	if s.pps == nil {
		s.pps = map[int][]byte{}
	}
	s.pps[id] = bytes.Clone(nal)
	s.current = nil
	return nil
}

// Params returns what holds now, the same pointer until it changes; nil while SPS or PPS are missing.
func (s *ParamSets) Params() *video.Params {
	if s.current != nil || s.sps == nil || len(s.pps) == 0 {
		return s.current
	}
	s.current = &video.Params{Codec: video.H264, Config: s.config(), Width: s.parsed.Width, Height: s.parsed.Height, Reorder: s.parsed.Reorder}
	return s.current
}

// config builds an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 5.3.3.1) with the PPS in the order of their ids.
func (s *ParamSets) config() []byte {
	out := []byte{1, s.sps[1], s.sps[2], s.sps[3], 0xff, 0xe1} // lengths of four bytes, one SPS
	out = appendSet(out, s.sps)
	out = append(out, byte(len(s.pps)))
	ids := make([]int, 0, len(s.pps))
	for id := range s.pps {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		out = appendSet(out, s.pps[id])
	}
	switch s.sps[1] {
	case 100, 110, 122, 144: // the extension that the standard asks for; 4:2:0, 8 bits is all that cameras send
		out = append(out, 0xfc|1, 0xf8, 0xf8, 0)
	}
	return out
}

func appendSet(out, nal []byte) []byte {
	return append(binary.BigEndian.AppendUint16(out, uint16(len(nal))), nal...)
}
