package h265

import (
	"fmt"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// SPS is what this worker needs to know of a sequence parameter set.
type SPS struct {
	// Profile are the twelve bytes of general profile, tier and level, as a file's record repeats them.
	Profile [12]byte
	// SubLayers is the number of temporal layers; Nested says that one may change between them at any picture.
	SubLayers int
	Nested    bool
	// Chroma is the format of the colours (1 is 4:2:0); LumaDepth and ChromaDepth are the bits of a sample beyond 8.
	Chroma, LumaDepth, ChromaDepth byte
	Width, Height                  int
	// Reorder is the number of pictures held back for B-frames; 0 for nearly every camera.
	Reorder int
}

// ParseSPS reads a sequence parameter set NAL unit.
func ParseSPS(nal []byte) (SPS, error) {
	if Type(nal) != TypeSPS {
		return SPS{}, fmt.Errorf("read sps of %d bytes: %w", len(nal), video.ErrParams)
	}
	b := video.NewBits(nal[HeaderSize:])
	b.Read(4) // VPS
	s := SPS{SubLayers: int(b.Read(3)) + 1}
	s.Nested = b.Read(1) == 1
	for i := range s.Profile {
		s.Profile[i] = byte(b.Read(8))
	}
	skipSubLayers(b, s.SubLayers-1)
	id, chroma := b.UE(), b.UE()
	planes := uint32(0)
	if chroma == 3 {
		planes = b.Read(1)
	}
	width, height := int64(b.UE()), int64(b.UE())
	if b.Read(1) == 1 { // conformance window
		unitX, unitY := int64(1), int64(1)
		if chroma == 1 || chroma == 2 {
			unitX = 2
		}
		if chroma == 1 {
			unitY = 2
		}
		left, right, top, bottom := int64(b.UE()), int64(b.UE()), int64(b.UE()), int64(b.UE())
		width -= unitX * (left + right)
		height -= unitY * (top + bottom)
	}
	luma, chromaDepth := b.UE(), b.UE()
	order := b.UE()
	first := s.SubLayers - 1
	if b.Read(1) == 1 {
		first = 0
	}
	var buffered, reorder uint32
	for range s.SubLayers - first {
		buffered, reorder = b.UE(), b.UE() // those of the highest layer count
		b.UE()
	}
	if b.Failed() || s.SubLayers > 7 || id > 15 || chroma > 3 || planes > 0 || luma > 8 || chromaDepth > 8 || order > 12 || buffered > 15 || reorder > buffered {
		return SPS{}, fmt.Errorf("read sps: %w", video.ErrParams)
	}
	if width < 16 || height < 16 || width > video.MaxSide || height > video.MaxSide {
		return SPS{}, fmt.Errorf("read sps: picture of %dx%d: %w", width, height, video.ErrParams)
	}
	s.Chroma, s.LumaDepth, s.ChromaDepth = byte(chroma), byte(luma), byte(chromaDepth)
	s.Width, s.Height, s.Reorder = int(width), int(height), int(reorder)
	return s, nil
}

// skipSubLayers reads over the profiles and levels of the n lower temporal layers.
func skipSubLayers(b *video.Bits, n int) {
	if n == 0 {
		return
	}
	var present [7][2]uint32
	for i := range n {
		present[i] = [2]uint32{b.Read(1), b.Read(1)}
	}
	b.Read(2 * (8 - n))
	for _, p := range present[:n] {
		b.Read(int(88*p[0] + 8*p[1]))
	}
}

// PPSID returns the id of a picture parameter set.
func PPSID(nal []byte) (int, error) {
	if Type(nal) != TypePPS {
		return 0, fmt.Errorf("read pps of %d bytes: %w", len(nal), video.ErrParams)
	}
	b := video.NewBits(nal[HeaderSize:min(len(nal), 16)])
	id := b.UE()
	if b.Failed() || id > 63 {
		return 0, fmt.Errorf("read pps: %w", video.ErrParams)
	}
	return int(id), nil
}

// checkVPS refuses a video parameter set whose fixed bits are damaged; nothing else of it is needed.
func checkVPS(nal []byte) error {
	if Type(nal) == TypeVPS && len(nal) >= 6 && nal[2]&0x0c == 0x0c && nal[4] == 0xff && nal[5] == 0xff {
		return nil
	}
	return fmt.Errorf("read vps of %d bytes: %w", len(nal), video.ErrParams)
}
