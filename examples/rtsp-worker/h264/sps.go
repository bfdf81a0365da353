package h264

import (
	"errors"
	"fmt"
)

// ErrParams says that a parameter set cannot be used: cut short, corrupted, or of a kind that no camera sends.
var ErrParams = errors.New("unusable parameter set")

// SPS is what this worker needs to know of a sequence parameter set.
type SPS struct {
	Profile, Level byte
	Width, Height  int
	// Reorder is the number of pictures held back for B-frames; 0 for nearly every camera.
	Reorder int
}

// maxSide bounds both sides of a picture: larger values come from corrupted bytes.
const maxSide = 16384

// ParseSPS reads a sequence parameter set NAL unit.
func ParseSPS(nal []byte) (SPS, error) {
	if Type(nal) != TypeSPS || len(nal) < 4 {
		return SPS{}, fmt.Errorf("read sps of %d bytes: %w", len(nal), ErrParams)
	}
	b := &bits{data: Unescape(nal[1:])}
	s := SPS{Profile: byte(b.read(8))}
	b.read(8) // constraint flags
	s.Level = byte(b.read(8))
	b.ue() // seq_parameter_set_id
	chroma := uint32(1)
	switch s.Profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		chroma = b.ue()
		if chroma == 3 {
			b.read(1)
		}
		b.ue()
		b.ue()
		b.read(1)
		if b.read(1) == 1 { // scaling matrix
			lists := 8
			if chroma == 3 {
				lists = 12
			}
			for i := range lists {
				if b.read(1) == 1 {
					b.skipScalingList(i)
				}
			}
		}
	}
	b.ue() // log2_max_frame_num
	order := b.ue()
	switch order {
	case 0:
		b.ue()
	case 1:
		b.read(1)
		b.ue()
		b.ue()
		for range min(b.ue(), 255) {
			b.ue()
		}
	}
	refFrames := b.ue()
	b.read(1)
	mbWidth, mapHeight := b.ue()+1, b.ue()+1
	frameOnly := b.read(1)
	if frameOnly == 0 {
		b.read(1)
	}
	b.read(1)
	var left, right, top, bottom uint32
	if b.read(1) == 1 {
		left, right, top, bottom = b.ue(), b.ue(), b.ue(), b.ue()
	}
	if b.failed || mbWidth > maxSide/16 || mapHeight > maxSide/16 || chroma > 3 || order > 2 || refFrames > 16 {
		return SPS{}, fmt.Errorf("read sps: %w", ErrParams)
	}
	cropX, cropY := uint32(2), uint32(2)
	if chroma == 0 || chroma == 3 {
		cropX, cropY = 1, 1
	} else if chroma == 2 {
		cropY = 1
	}
	fields := 2 - frameOnly
	width := int64(mbWidth)*16 - int64(left)*int64(cropX) - int64(right)*int64(cropX)
	height := int64(mapHeight)*16*int64(fields) - (int64(top)+int64(bottom))*int64(cropY)*int64(fields)
	if width < 16 || height < 16 || width > maxSide || height > maxSide {
		return SPS{}, fmt.Errorf("read sps: picture of %dx%d: %w", width, height, ErrParams)
	}
	s.Width, s.Height = int(width), int(height)
	if order != 2 && s.Profile != 66 {
		s.Reorder = b.reorderOfVUI()
	}
	return s, nil
}

// reorderOfVUI reads on to max_num_reorder_frames; without that field it answers 0, because a camera that sends B-frames and does
// not say so is not known, while cameras that send none and say nothing are many.
func (b *bits) reorderOfVUI() int {
	if b.read(1) == 0 {
		return 0
	}
	if b.read(1) == 1 && b.read(8) == 255 { // aspect ratio
		b.read(32)
	}
	if b.read(1) == 1 { // overscan
		b.read(1)
	}
	if b.read(1) == 1 { // video signal
		b.read(4)
		if b.read(1) == 1 {
			b.read(24)
		}
	}
	if b.read(1) == 1 { // chroma location
		b.ue()
		b.ue()
	}
	if b.read(1) == 1 { // timing
		b.read(32)
		b.read(32)
		b.read(1)
	}
	nal := b.read(1)
	if nal == 1 {
		b.skipHRD()
	}
	vcl := b.read(1)
	if vcl == 1 {
		b.skipHRD()
	}
	if nal == 1 || vcl == 1 {
		b.read(1)
	}
	b.read(1)
	if b.read(1) == 0 { // bitstream restriction
		return 0
	}
	b.read(1)
	b.ue()
	b.ue()
	b.ue()
	b.ue()
	reorder := b.ue()
	if b.failed || reorder > 16 {
		return 0
	}
	return int(reorder)
}

func (b *bits) skipHRD() {
	n := min(b.ue()+1, 32)
	b.read(8)
	for range n {
		b.ue()
		b.ue()
		b.read(1)
	}
	b.read(20)
}

func (b *bits) skipScalingList(i int) {
	size := 16
	if i >= 6 {
		size = 64
	}
	last, next := int32(8), int32(8)
	for range size {
		if next != 0 {
			next = (last + b.se() + 256) % 256
		}
		if next != 0 {
			last = next
		}
	}
}

// PPSID returns the id of a picture parameter set.
func PPSID(nal []byte) (int, error) {
	if Type(nal) != TypePPS || len(nal) < 2 {
		return 0, fmt.Errorf("read pps of %d bytes: %w", len(nal), ErrParams)
	}
	b := &bits{data: Unescape(nal[1:min(len(nal), 16)])}
	id := b.ue()
	if b.failed || id > 255 {
		return 0, fmt.Errorf("read pps: %w", ErrParams)
	}
	return int(id), nil
}
