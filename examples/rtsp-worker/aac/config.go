package aac

import (
	"errors"
	"fmt"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// Frame is one access unit: the same number of samples of every channel.
type Frame struct {
	// Time in ticks of Config.Rate, counted from the same moment as the time of the pictures of its connection.
	Time int64
	// Data without ADTS header.
	Data []byte
	// Config is what holds for this frame; frames of a connection share one value.
	Config *Config
}

// Config is what a decoder must know of a stream.
type Config struct {
	// Raw is the AudioSpecificConfig of ISO/IEC 14496-3, section 1.6.2.1.
	Raw []byte
	// Rate is the number of ticks per second of Frame.Time: RTP's clock for this stream, which is the number of samples per second.
	Rate int
	// Channels of the sound.
	Channels int
	// FrameTicks is the length of a frame in ticks of Rate.
	FrameTicks int
}

// ErrConfig says that a stream is not one that can be recorded.
var ErrConfig = errors.New("unusable AAC configuration")

// Object types that matter here (ISO/IEC 14496-3, table 1.17).
const (
	typeLTP = 4
	typeSBR = 5
	typePS  = 29
)

// maxConfig bounds AudioSpecificConfig: cameras send 2 to 7 bytes.
const maxConfig = 64

var rates = []int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// ParseConfig reads an AudioSpecificConfig; rate is that of the RTP clock.
func ParseConfig(raw []byte, rate int) (*Config, error) {
	b := video.RawBits(raw)
	object := b.Read(5)
	core := readRate(b)
	channels := b.Read(4)
	if object == typeSBR || object == typePS {
		readRate(b) // what comes out
		object = b.Read(5)
	}
	short := b.Read(1) // frames of 960 samples
	if b.Failed() || len(raw) > maxConfig || object == 0 || object > typeLTP || core == 0 || channels == 0 || channels > 7 {
		return nil, fmt.Errorf("read AudioSpecificConfig %.8x: object type %d, %d samples a second, %d channels: %w", raw, object, core, channels, ErrConfig)
	}
	if rate < 1000 || rate > 192000 {
		return nil, fmt.Errorf("read audio clock of %d ticks a second: %w", rate, ErrConfig)
	}
	samples := 1024
	if short == 1 {
		samples = 960
	}
	if channels == 7 {
		channels = 8
	}
	return &Config{Raw: raw, Rate: rate, Channels: int(channels), FrameTicks: max(1, samples*rate/core)}, nil
}

// readRate returns 0 for a rate that is reserved.
func readRate(b *video.Bits) int {
	i := int(b.Read(4))
	if i == 15 {
		return int(b.Read(24))
	}
	if i < len(rates) {
		return rates[i]
	}
	return 0
}
