package recording

import (
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/fmp4"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// soundQueue holds the sound that waits for the pictures beside it.
type soundQueue struct {
	frames []aac.Frame
	bytes  int
	config *aac.Config // of the last frame, or of those that are expected
	at     time.Time   // when that came, or was said
}

const (
	// maxSound bounds what waits: more than the longest part has.
	maxSound = 4 << 20
	// soundFresh is how long ago sound may have come, or been promised, for a file to have a track for it.
	soundFresh = 2 * time.Second
)

func (q *soundQueue) push(f aac.Frame, now time.Time) {
	if f.Config != q.config {
		*q = soundQueue{config: f.Config}
	}
	q.at = now
	q.frames = append(q.frames, f)
	for q.bytes += len(f.Data); q.bytes > maxSound; {
		q.drop()
	}
}

func (q *soundQueue) drop() {
	q.bytes -= len(q.frames[0].Data)
	q.frames = q.frames[1:]
}

// current is what sound is like at the moment, nil when there is none.
func (q *soundQueue) current(now time.Time) *aac.Config {
	if q.config == nil || now.Sub(q.at) > soundFresh {
		return nil
	}
	return q.config
}

// take returns the sound that begins before a time of the pictures.
func (q *soundQueue) take(until int64) (out []aac.Frame) {
	for len(q.frames) > 0 && q.frames[0].Time < soundTicks(until, q.config) {
		out = append(out, q.frames[0])
		q.drop()
	}
	return out
}

// soundTicks is a time of the pictures on the clock of the sound.
func soundTicks(t int64, c *aac.Config) int64 { return t * int64(c.Rate) / video.ClockRate }

// run puts frames where they belong in the file. What is less than half a frame out of place follows the one before without a gap,
// because a gap can be heard; what came too late for its place is left out.
func (o *openSegment) run(frames []aac.Frame) (run fmp4.Run) {
	for _, f := range frames {
		if f.Config != o.sound {
			continue
		}
		length, at := int64(f.Config.FrameTicks), f.Time-soundTicks(o.base, f.Config)
		gap := at - o.heard
		if gap < -length/2 {
			continue
		}
		if gap <= length/2 {
			at, gap = o.heard, 0
		}
		if n := len(run.Samples); n == 0 {
			run.Base = uint64(at)
		} else {
			run.Samples[n-1].Duration += uint32(gap)
		}
		run.Samples = append(run.Samples, fmp4.Sample{Duration: uint32(length), Key: true, Data: f.Data})
		o.heard = at + length
	}
	return run
}
