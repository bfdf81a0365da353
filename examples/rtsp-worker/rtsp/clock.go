package rtsp

import "time"

// clock turns RTP timestamps into a time that never jumps: where the camera's clock does, the time that really passed is taken
// instead. Time comes in as an argument.
type clock struct {
	rate    int64 // ticks a second
	started bool
	rtp     uint32
	ticks   int64
	at      time.Time
	jumps   int
}

const (
	// maxAhead is how many seconds more than really passed two neighbouring pictures may be apart.
	maxAhead = 2
	// maxBehind is how many seconds back a picture may lie where pictures are sent out of order (B-frames).
	maxBehind = 2
)

// next returns the time of a picture, or of sound, that was complete at now, and whether the camera's clock jumped.
func (c *clock) next(rtp uint32, now time.Time, reorder bool) (at int64, jumped bool) {
	if !c.started {
		c.started, c.rtp, c.at = true, rtp, now
		return 0, false
	}
	delta := int64(int32(rtp - c.rtp))
	elapsed := max(1, ticks(now.Sub(c.at), c.rate))
	ok := delta > 0 && delta <= elapsed+maxAhead*c.rate || reorder && delta < 0 && delta >= -maxBehind*c.rate
	if !ok {
		delta = elapsed
		c.jumps++
	}
	c.rtp, c.at = rtp, now
	c.ticks += delta
	return c.ticks, !ok
}

// ticks of a clock in a time, however long that is.
func ticks(d time.Duration, rate int64) int64 {
	return int64(d/time.Second)*rate + int64(d%time.Second)*rate/int64(time.Second)
}
