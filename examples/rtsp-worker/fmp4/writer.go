package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// Sample is one picture of a part.
type Sample struct {
	// Duration in ticks of video.ClockRate, from this picture to the next in decoding order.
	Duration uint32
	// Offset is added to the time of decoding to get the time of presentation; 0 without B-frames.
	Offset int32
	// Key says that decoding can begin here.
	Key bool
	// Data is the picture as NAL units with 4-byte lengths before each (see AppendNALs).
	Data []byte
}

// AppendNALs appends NAL units in the form of Sample.Data.
func AppendNALs(data []byte, nals [][]byte) []byte {
	for _, nal := range nals {
		data = binary.BigEndian.AppendUint32(data, uint32(len(nal)))
		data = append(data, nal...)
	}
	return data
}

const trackID = 1

// entry names the boxes that describe a codec's samples (ISO/IEC 14496-15).
type entry struct{ sample, config string }

var entries = map[video.Codec]entry{
	video.H264: {"avc1", "avcC"},
	video.H265: {"hvc1", "hvcC"},
}

// Header returns the beginning of a file: ftyp and moov.
func Header(p *video.Params) ([]byte, error) {
	if p == nil || len(p.Config) == 0 {
		return nil, errors.New("write header: no parameter sets")
	}
	e, ok := entries[p.Codec]
	if !ok || len(p.Config) > maxHeader/2 || p.Width > 0xffff || p.Height > 0xffff {
		return nil, fmt.Errorf("write header: %q, parameter sets of %d bytes for %dx%d: %w", p.Codec, len(p.Config), p.Width, p.Height, video.ErrParams)
	}
	b := &boxes{}
	b.box("ftyp", func() {
		b.str("iso5")
		b.u32(512)
		b.str("iso5iso6mp41" + e.sample)
	})
	b.box("moov", func() {
		b.full("mvhd", 0, 0, func() {
			b.u32(0, 0, 1000, 0)         // created, modified, time scale, duration
			b.u32(0x00010000)            // rate
			b.u16(0x0100, 0, 0, 0, 0, 0) // volume, reserved
			b.matrix()
			b.u32(0, 0, 0, 0, 0, 0, trackID+1)
		})
		b.box("trak", func() { b.track(p, e) })
		b.box("mvex", func() {
			b.full("trex", 0, 0, func() { b.u32(trackID, 1, 0, 0, 0) })
		})
	})
	return b.data, nil
}

func (b *boxes) track(p *video.Params, e entry) {
	b.full("tkhd", 0, 3, func() {
		b.u32(0, 0, trackID, 0, 0, 0, 0)
		b.u16(0, 0, 0, 0)
		b.matrix()
		b.u32(uint32(p.Width)<<16, uint32(p.Height)<<16)
	})
	b.box("mdia", func() {
		b.full("mdhd", 0, 0, func() {
			b.u32(0, 0, video.ClockRate, 0)
			b.u16(0x55c4, 0) // language "und"
		})
		b.full("hdlr", 0, 0, func() {
			b.u32(0)
			b.str("vide")
			b.u32(0, 0, 0)
			b.str("VideoHandler\x00")
		})
		b.box("minf", func() {
			b.full("vmhd", 0, 1, func() { b.u16(0, 0, 0, 0) })
			b.box("dinf", func() {
				b.full("dref", 0, 0, func() {
					b.u32(1)
					b.full("url ", 0, 1, func() {})
				})
			})
			b.box("stbl", func() {
				b.full("stsd", 0, 0, func() {
					b.u32(1)
					b.box(e.sample, func() { b.sampleEntry(p, e) })
				})
				b.full("stts", 0, 0, func() { b.u32(0) })
				b.full("stsc", 0, 0, func() { b.u32(0) })
				b.full("stsz", 0, 0, func() { b.u32(0, 0) })
				b.full("stco", 0, 0, func() { b.u32(0) })
			})
		})
	})
}

func (b *boxes) sampleEntry(p *video.Params, e entry) {
	b.u16(0, 0, 0, 1) // reserved, data reference
	b.u16(0, 0)
	b.u32(0, 0, 0)
	b.u16(uint16(p.Width), uint16(p.Height))
	b.u32(0x00480000, 0x00480000, 0) // 72 dpi
	b.u16(1)
	b.data = append(b.data, make([]byte, 32)...) // compressor's name
	b.u16(0x0018, 0xffff)
	b.box(e.config, func() { b.data = append(b.data, p.Config...) })
}

// Flags of a sample: depends on nothing; depends on others and is no sync sample.
const (
	flagsKey   = 0x02000000
	flagsOther = 0x01010000
)

// AppendPart appends one part, moof and mdat: number counts the parts of the file from 1, base is the time of decoding of the first
// sample in ticks from the beginning of the file.
func AppendPart(buf []byte, number uint32, base uint64, samples []Sample) []byte {
	start := len(buf)
	b := &boxes{data: buf}
	version := byte(0)
	for _, s := range samples {
		if s.Offset < 0 {
			version = 1
		}
	}
	var dataOffset int
	b.box("moof", func() {
		b.full("mfhd", 0, 0, func() { b.u32(number) })
		b.box("traf", func() {
			b.full("tfhd", 0, 0x020000, func() { b.u32(trackID) }) // default-base-is-moof
			b.full("tfdt", 1, 0, func() { b.u32(uint32(base>>32), uint32(base)) })
			b.full("trun", version, 0x000f01, func() {
				b.u32(uint32(len(samples)))
				dataOffset = len(b.data)
				b.u32(0)
				for _, s := range samples {
					flags := uint32(flagsOther)
					if s.Key {
						flags = flagsKey
					}
					b.u32(s.Duration, uint32(len(s.Data)), flags, uint32(s.Offset))
				}
			})
		})
	})
	binary.BigEndian.PutUint32(b.data[dataOffset:], uint32(len(b.data)-start+8))
	b.box("mdat", func() {
		for _, s := range samples {
			b.data = append(b.data, s.Data...)
		}
	})
	return b.data
}
