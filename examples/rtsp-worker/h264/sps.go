package h264

import (
	"fmt"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// SPS is what this worker needs to know of a sequence parameter set.
type SPS struct {
	Profile, Level byte
	Width, Height  int
	// Reorder is the number of pictures held back for B-frames; 0 for nearly every camera.
	Reorder int
}

// ParseSPS reads a sequence parameter set NAL unit.
func ParseSPS(nal []byte) (SPS, error) {
	if Type(nal) != TypeSPS || len(nal) < 4 {
		return SPS{}, fmt.Errorf("read sps of %d bytes: %w", len(nal), video.ErrParams)
	}
	b := video.NewBits(nal[1:])
	s := SPS{Profile: byte(b.Read(8))}
	b.Read(8) // constraint flags
	s.Level = byte(b.Read(8))
	b.UE() // seq_parameter_set_id
	chroma := uint32(1)
	switch s.Profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		chroma = b.UE()
		if chroma == 3 {
			b.Read(1)
		}
		b.UE()
		b.UE()
		b.Read(1)
		if b.Read(1) == 1 { // scaling matrix
			lists := 8
			if chroma == 3 {
				lists = 12
			}
			for i := range lists {
				if b.Read(1) == 1 {
					skipScalingList(b, i)
				}
			}
		}
	}
	b.UE() // log2_max_frame_num
	order := b.UE()
	switch order {
	case 0:
		b.UE()
	case 1:
		b.Read(1)
		b.UE()
		b.UE()
		for range min(b.UE(), 255) {
			b.UE()
		}
	}
	refFrames := b.UE()
	b.Read(1)
	mbWidth, mapHeight := b.UE()+1, b.UE()+1
	frameOnly := b.Read(1)
	if frameOnly == 0 {
		b.Read(1)
	}
	b.Read(1)
	var left, right, top, bottom uint32
	if b.Read(1) == 1 {
		left, right, top, bottom = b.UE(), b.UE(), b.UE(), b.UE()
	}
	if b.Failed() || mbWidth > video.MaxSide/16 || mapHeight > video.MaxSide/16 || chroma > 3 || order > 2 || refFrames > 16 {
		return SPS{}, fmt.Errorf("read sps: %w", video.ErrParams)
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
	if width < 16 || height < 16 || width > video.MaxSide || height > video.MaxSide {
		return SPS{}, fmt.Errorf("read sps: picture of %dx%d: %w", width, height, video.ErrParams)
	}
	s.Width, s.Height = int(width), int(height)
	if order != 2 && s.Profile != 66 {
		s.Reorder = reorderOfVUI(b)
	}
	return s, nil
}

// reorderOfVUI reads on to max_num_reorder_frames; without that field it answers 0, because a camera that sends B-frames and does
// not say so is not known, while cameras that send none and say nothing are many.
func reorderOfVUI(b *video.Bits) int {
	if b.Read(1) == 0 {
		return 0
	}
	if b.Read(1) == 1 && b.Read(8) == 255 { // aspect ratio
		b.Read(32)
	}
	if b.Read(1) == 1 { // overscan
		b.Read(1)
	}
	if b.Read(1) == 1 { // video signal
		b.Read(4)
		if b.Read(1) == 1 {
			b.Read(24)
		}
	}
	if b.Read(1) == 1 { // chroma location
		b.UE()
		b.UE()
	}
	if b.Read(1) == 1 { // timing
		b.Read(32)
		b.Read(32)
		b.Read(1)
	}
	nal := b.Read(1)
	if nal == 1 {
		skipHRD(b)
	}
	vcl := b.Read(1)
	if vcl == 1 {
		skipHRD(b)
	}
	if nal == 1 || vcl == 1 {
		b.Read(1)
	}
	b.Read(1)
	if b.Read(1) == 0 { // bitstream restriction
		return 0
	}
	b.Read(1)
	b.UE()
	b.UE()
	b.UE()
	b.UE()
	reorder := b.UE()
	if b.Failed() || reorder > 16 {
		return 0
	}
	return int(reorder)
}

func skipHRD(b *video.Bits) {
	n := min(b.UE()+1, 32)
	b.Read(8)
	for range n {
		b.UE()
		b.UE()
		b.Read(1)
	}
	b.Read(20)
}

func skipScalingList(b *video.Bits, i int) {
	size := 16
	if i >= 6 {
		size = 64
	}
	last, next := int32(8), int32(8)
	for range size {
		if next != 0 {
			next = (last + b.SE() + 256) % 256
		}
		if next != 0 {
			last = next
		}
	}
}

// PPSID returns the id of a picture parameter set.
func PPSID(nal []byte) (int, error) {
	if Type(nal) != TypePPS || len(nal) < 2 {
		return 0, fmt.Errorf("read pps of %d bytes: %w", len(nal), video.ErrParams)
	}
	b := video.NewBits(nal[1:min(len(nal), 16)])
	id := b.UE()
	if b.Failed() || id > 255 {
		return 0, fmt.Errorf("read pps: %w", video.ErrParams)
	}
	return int(id), nil
}
