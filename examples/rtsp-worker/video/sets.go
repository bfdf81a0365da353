package video

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// ParamSets collects the parameter sets of a stream as they arrive and says when they changed.
type ParamSets interface {
	// Add takes a parameter set; an unusable one is refused and changes nothing.
	Add(nal []byte) error
	// Params returns what holds now, the same pointer until it changes; nil while a set is missing.
	Params() *Params
}

// Syntax is how a codec's parameter sets are read and what follows from them; S is what it reads of an SPS.
type Syntax[S any] struct {
	// Type returns a NAL unit's type. VPS and SPS are those of the sets; what is neither must be a PPS.
	Type     func(nal []byte) int
	VPS, SPS int
	// CheckVPS, ParseSPS and PPSID refuse what is no usable set of their kind; CheckVPS is nil where the codec has none.
	CheckVPS func(nal []byte) error
	ParseSPS func(nal []byte) (S, error)
	PPSID    func(nal []byte) (int, error)
	// Params describes a stream with these sets, the PPS in the order of their ids.
	Params func(parsed S, vps, sps []byte, pps [][]byte) *Params
}

// Sets is the ParamSets of every codec: what differs is in its Syntax.
type Sets[S any] struct {
	syntax  *Syntax[S]
	vps     []byte
	sps     []byte
	parsed  S
	pps     map[int][]byte
	current *Params
}

// NewSets returns a collection that is empty.
func NewSets[S any](syntax *Syntax[S]) *Sets[S] { return &Sets[S]{syntax: syntax} }

// maxPPS is how many a file can hold.
const maxPPS = 255

// Add takes a VPS, SPS or PPS; an unusable one is refused and changes nothing. A new SPS forgets the PPS of the old one.
func (s *Sets[S]) Add(nal []byte) error {
	if len(nal) > MaxSet {
		return fmt.Errorf("read parameter set of %d bytes: %w", len(nal), ErrParams)
	}
	switch t := s.syntax.Type(nal); {
	case s.syntax.CheckVPS != nil && t == s.syntax.VPS:
		if bytes.Equal(s.vps, nal) {
			return nil
		}
		if err := s.syntax.CheckVPS(nal); err != nil {
			return err
		}
		s.vps = bytes.Clone(nal)
	case t == s.syntax.SPS:
		if bytes.Equal(s.sps, nal) {
			return nil
		}
		parsed, err := s.syntax.ParseSPS(nal)
		if err != nil {
			return err
		}
		s.sps, s.parsed, s.pps = bytes.Clone(nal), parsed, nil
	default:
		id, err := s.syntax.PPSID(nal)
		if err != nil {
			return err
		}
		old, known := s.pps[id]
		if known && bytes.Equal(old, nal) {
			return nil
		}
		if !known && len(s.pps) == maxPPS {
			return fmt.Errorf("read pps: more than %d: %w", maxPPS, ErrParams)
		}
		if s.pps == nil {
			s.pps = map[int][]byte{}
		}
		s.pps[id] = bytes.Clone(nal)
	}
	s.current = nil
	return nil
}

// Params returns what holds now, the same pointer until it changes; nil while a kind of set is missing.
func (s *Sets[S]) Params() *Params {
	if s.current != nil || s.syntax.CheckVPS != nil && s.vps == nil || s.sps == nil || len(s.pps) == 0 {
		return s.current
	}
	var pps [][]byte
	for _, id := range slices.Sorted(maps.Keys(s.pps)) {
		pps = append(pps, s.pps[id])
	}
	s.current = s.syntax.Params(s.parsed, s.vps, s.sps, pps)
	return s.current
}
