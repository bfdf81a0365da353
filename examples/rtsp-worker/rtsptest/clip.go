package rtsptest

import (
	_ "embed" // the clips below
	"fmt"
	"strings"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

//go:embed testdata/clip320.h264
var clip320h264 []byte

//go:embed testdata/clip192.h264
var clip192h264 []byte

//go:embed testdata/clip320.h265
var clip320h265 []byte

//go:embed testdata/clip192.h265
var clip192h265 []byte

// source is a clip that is built in.
type source struct {
	name   string
	coding *coding
	stream []byte
	other  string // the clip that FaultParams switches to
}

var sources = []source{
	{"320x180", &codingH264, clip320h264, "192x108"},
	{"192x108", &codingH264, clip192h264, "320x180"},
	{"320x180-h265", &codingH265, clip320h265, "192x108-h265"},
	{"192x108-h265", &codingH265, clip192h265, "320x180-h265"},
}

// Clips names the clips that are built in; the first is the default.
func Clips() []string {
	var names []string
	for _, s := range sources {
		names = append(names, s.name)
	}
	return names
}

func findSource(name string) (source, error) {
	if name == "" {
		return sources[0], nil
	}
	for _, s := range sources {
		if s.name == name {
			return s, nil
		}
	}
	return source{}, fmt.Errorf("clip %q is unknown: use one of %s", name, strings.Join(Clips(), ", "))
}

// clip is a sequence of access units, each a list of NAL units.
type clip struct {
	coding *coding
	units  [][][]byte
	sets   [][]byte // of the first picture
}

// cut cuts the Annex B stream into access units. Every slice of the clips is a new picture.
func (s source) cut() clip {
	c := clip{coding: s.coding}
	var unit [][]byte
	for _, nal := range video.SplitAnnexB(s.stream) {
		unit = append(unit, nal)
		switch s.coding.kind(nal) {
		case video.KindParams:
			if len(c.units) == 0 {
				c.sets = append(c.sets, nal)
			}
		case video.KindPicture, video.KindKey:
			c.units = append(c.units, unit)
			unit = nil
		}
	}
	return c
}

// Units returns a clip as a client should receive it, without times: a test of what comes behind a client needs no camera.
func Units(name string) ([]video.Unit, error) {
	s, err := findSource(name)
	if err != nil {
		return nil, err
	}
	sets := s.coding.sets()
	var units []video.Unit
	for _, nals := range s.cut().units {
		var u video.Unit
		for _, nal := range nals {
			switch s.coding.kind(nal) {
			case video.KindParams:
				if err := sets.Add(nal); err != nil {
					return nil, fmt.Errorf("read clip %s: %w", s.name, err)
				}
			case video.KindPicture, video.KindKey:
				u.NALs = append(u.NALs, nal)
				u.Key = s.coding.kind(nal) == video.KindKey
			}
		}
		u.Params = sets.Params()
		units = append(units, u)
	}
	return units, nil
}
