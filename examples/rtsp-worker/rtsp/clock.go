package rtsp

import (
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// clock turns RTP timestamps into a time that never jumps: where the camera's clock does, the time that really passed is taken
// instead. Time comes in as an argument.
type clock struct {
	started bool
	rtp     uint32
	ticks   int64
	at      time.Time
	jumps   int
}

const (
	// maxAhead is how much further than real time two neighbouring pictures may be apart.
	maxAhead = 2 * video.ClockRate
	// maxBehind is how far back a picture may lie where pictures are sent out of order (B-frames).
	maxBehind = 2 * video.ClockRate
)

// next returns the time of a picture that was complete at now, and whether the camera's clock jumped.
func (c *clock) next(rtp uint32, now time.Time, reorder bool) (ticks int64, jumped bool) {
	if !c.started {
		c.started, c.rtp, c.at = true, rtp, now
		return 0, false
	}
	delta := int64(int32(rtp - c.rtp))
	elapsed := max(1, int64(now.Sub(c.at))*video.ClockRate/int64(time.Second))
	ok := delta > 0 && delta <= elapsed+maxAhead || reorder && delta < 0 && delta >= -maxBehind
	if !ok {
		delta = elapsed
		c.jumps++
	}
	c.rtp, c.at = rtp, now
	c.ticks += delta
	return c.ticks, !ok
}
