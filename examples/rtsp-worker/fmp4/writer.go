package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// Sample is one picture of a part, or one frame of its sound.
type Sample struct {
	// Duration in ticks, from this sample to the next in decoding order: of video.ClockRate, or of the sound's own rate.
	Duration uint32
	// Offset is added to the time of decoding to get the time of presentation; 0 without B-frames, and for sound.
	Offset int32
	// Key says that decoding can begin here; it does at every frame of sound.
	Key bool
	// Data is the picture as NAL units with 4-byte lengths before each (see AppendNALs), or the frame of sound.
	Data []byte
}

// Run is what a part holds of one track.
type Run struct {
	// Base is the time of decoding of the first sample in ticks from the beginning of the file.
	Base    uint64
	Samples []Sample
}

// AppendNALs appends NAL units in the form of Sample.Data.
func AppendNALs(data []byte, nals [][]byte) []byte {
	for _, nal := range nals {
		data = binary.BigEndian.AppendUint32(data, uint32(len(nal)))
		data = append(data, nal...)
	}
	return data
}

// Numbers of the tracks.
const (
	videoTrack = 1
	audioTrack = 2
)

// entry names the boxes that describe a codec's samples (ISO/IEC 14496-15).
type entry struct{ sample, config string }

var entries = map[video.Codec]entry{
	video.H264: {"avc1", "avcC"},
	video.H265: {"hvc1", "hvcC"},
}

// Header returns the beginning of a file: ftyp and moov. A file without sound has no track for it: sound is nil.
func Header(p *video.Params, sound *aac.Config) ([]byte, error) {
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
			b.u32(0, 0, 0, 0, 0, 0, audioTrack+1)
		})
		b.box("trak", func() {
			b.track(track{
				id: videoTrack, rate: video.ClockRate, width: p.Width, height: p.Height, handler: "vide", name: "VideoHandler",
				media: func() { b.full("vmhd", 0, 1, func() { b.u16(0, 0, 0, 0) }) },
				entry: func() { b.box(e.sample, func() { b.videoEntry(p, e) }) },
			})
		})
		if sound != nil {
			b.box("trak", func() {
				b.track(track{
					id: audioTrack, rate: sound.Rate, volume: 0x0100, handler: "soun", name: "SoundHandler",
					media: func() { b.full("smhd", 0, 0, func() { b.u16(0, 0) }) },
					entry: func() { b.box(entryAAC, func() { b.audioEntry(sound) }) },
				})
			})
		}
		b.box("mvex", func() {
			b.full("trex", 0, 0, func() { b.u32(videoTrack, 1, 0, 0, 0) })
			if sound != nil {
				b.full("trex", 0, 0, func() { b.u32(audioTrack, 1, 0, 0, flagsKey) })
			}
		})
	})
	return b.data, nil
}

// track is what differs between the tracks of a file.
type track struct {
	id            uint32
	rate          int // ticks a second
	volume        uint16
	width, height int
	handler, name string
	media, entry  func()
}

func (b *boxes) track(t track) {
	b.full("tkhd", 0, 3, func() {
		b.u32(0, 0, t.id, 0, 0, 0, 0)
		b.u16(0, 0, t.volume, 0)
		b.matrix()
		b.u32(uint32(t.width)<<16, uint32(t.height)<<16)
	})
	b.box("mdia", func() {
		b.full("mdhd", 0, 0, func() {
			b.u32(0, 0, uint32(t.rate), 0)
			b.u16(0x55c4, 0) // language "und"
		})
		b.full("hdlr", 0, 0, func() {
			b.u32(0)
			b.str(t.handler)
			b.u32(0, 0, 0)
			b.str(t.name + "\x00")
		})
		b.box("minf", func() {
			t.media()
			b.box("dinf", func() {
				b.full("dref", 0, 0, func() {
					b.u32(1)
					b.full("url ", 0, 1, func() {})
				})
			})
			b.box("stbl", func() {
				b.full("stsd", 0, 0, func() {
					b.u32(1)
					t.entry()
				})
				b.full("stts", 0, 0, func() { b.u32(0) })
				b.full("stsc", 0, 0, func() { b.u32(0) })
				b.full("stsz", 0, 0, func() { b.u32(0, 0) })
				b.full("stco", 0, 0, func() { b.u32(0) })
			})
		})
	})
}

func (b *boxes) videoEntry(p *video.Params, e entry) {
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

// entryAAC is the box that describes samples of AAC.
const entryAAC = "mp4a"

func (b *boxes) audioEntry(a *aac.Config) {
	b.u16(0, 0, 0, 1) // reserved, data reference
	b.u32(0, 0)
	b.u16(uint16(a.Channels), 16, 0, 0) // bits of a sample
	rate := uint32(0)                   // 16 bits only; the configuration says it too
	if a.Rate <= 0xffff {
		rate = uint32(a.Rate) << 16
	}
	b.u32(rate)
	b.full("esds", 0, 0, func() { // ISO/IEC 14496-1, section 7.2.6.5
		n := byte(len(a.Raw))
		b.data = append(b.data, 3, 3+2+13+2+n+2+1, 0, 0, 0)      // ES_Descriptor: no number, no flags
		b.data = append(b.data, 4, 13+2+n, 0x40, 5<<2|1)         // DecoderConfigDescriptor: MPEG-4 audio
		b.data = append(b.data, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // buffer size, bit rates: not said
		b.data = append(append(b.data, 5, n), a.Raw...)          // DecoderSpecificInfo
		b.data = append(b.data, 6, 1, 2)                         // SLConfigDescriptor: as files have it
	})
}

// Flags of a sample: depends on nothing; depends on others and is no sync sample.
const (
	flagsKey   = 0x02000000
	flagsOther = 0x01010000
)

// What a trun says of each sample. Frames of sound are all alike but for these.
const (
	runVideo = 0x000f01
	runAudio = 0x000301
)

// AppendPart appends one part, moof and mdat: number counts the parts of the file from 1. A part has pictures always, sound perhaps.
func AppendPart(buf []byte, number uint32, pictures, sound Run) []byte {
	start := len(buf)
	b := &boxes{data: buf}
	var offsets [2]int // of the fields that say where in the part the data begin
	b.box("moof", func() {
		b.full("mfhd", 0, 0, func() { b.u32(number) })
		offsets[0] = b.run(videoTrack, runVideo, pictures)
		if len(sound.Samples) > 0 {
			offsets[1] = b.run(audioTrack, runAudio, sound)
		}
	})
	b.box("mdat", func() {
		for i, run := range []Run{pictures, sound} {
			if len(run.Samples) == 0 {
				continue
			}
			binary.BigEndian.PutUint32(b.data[offsets[i]:], uint32(len(b.data)-start))
			for _, s := range run.Samples {
				b.data = append(b.data, s.Data...)
			}
		}
	})
	return b.data
}

// run appends a traf and returns the place of its data offset.
func (b *boxes) run(id, fields uint32, r Run) (offset int) {
	version := byte(0)
	for _, s := range r.Samples {
		if s.Offset < 0 {
			version = 1
		}
	}
	b.box("traf", func() {
		b.full("tfhd", 0, 0x020000, func() { b.u32(id) }) // default-base-is-moof
		b.full("tfdt", 1, 0, func() { b.u32(uint32(r.Base>>32), uint32(r.Base)) })
		b.full("trun", version, fields, func() {
			b.u32(uint32(len(r.Samples)))
			offset = len(b.data)
			b.u32(0)
			for _, s := range r.Samples {
				b.u32(s.Duration, uint32(len(s.Data)))
				if fields == runAudio {
					continue
				}
				flags := uint32(flagsOther)
				if s.Key {
					flags = flagsKey
				}
				b.u32(flags, uint32(s.Offset))
			}
		})
	})
	return offset
}
