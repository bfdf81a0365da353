package h264

import (
	"bytes"
	"slices"
)

// ParamSets collects the parameter sets of a stream as they arrive and says when they changed. The zero value is ready.
type ParamSets struct {
	sps     []byte
	parsed  SPS
	pps     map[int][]byte
	current *Params
}

// Add takes an SPS or PPS; an unusable one is refused and changes nothing. A new SPS forgets the PPS of the old one.
func (s *ParamSets) Add(nal []byte) error {
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

// Params returns the sets that hold now, the same pointer until they change; nil while either kind is missing.
func (s *ParamSets) Params() *Params {
	if s.current != nil || s.sps == nil || len(s.pps) == 0 {
		return s.current
	}
	p := &Params{SPS: s.sps, Width: s.parsed.Width, Height: s.parsed.Height, Reorder: s.parsed.Reorder}
	ids := make([]int, 0, len(s.pps))
	for id := range s.pps {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		p.PPS = append(p.PPS, s.pps[id])
	}
	s.current = p
	return p
}
