package recording

import (
	"slices"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/fmp4"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// timeline turns access units, which carry times of presentation, into samples, which carry times of decoding. The n-th picture is
// decoded at the n-th smallest time; to know it, one picture is held back, and as many more as the camera sends out of order.
type timeline struct {
	depth   int // pictures held back for B-frames
	pending []arrived
	times   []int64 // of the pending ones, sorted
	last    uint32  // duration before, for the last picture
}

// arrived is a unit and when it came.
type arrived struct {
	video.Unit
	wall time.Time
}

// timed is a sample with its time of decoding, its parameter sets and when it came.
type timed struct {
	fmp4.Sample
	at     int64
	params *video.Params
	wall   time.Time
}

// push takes a unit and returns the sample whose time is now known, if any.
func (t *timeline) push(u video.Unit, now time.Time) (timed, bool) {
	if u.Params != nil {
		t.depth = max(t.depth, u.Params.Reorder)
	}
	t.pending = append(t.pending, arrived{u, now})
	at, _ := slices.BinarySearch(t.times, u.Time)
	t.times = slices.Insert(t.times, at, u.Time)
	if len(t.pending) < t.depth+2 {
		return timed{}, false
	}
	return t.pop(), true
}

// flush returns all that is held back and forgets everything.
func (t *timeline) flush() []timed {
	var out []timed
	for len(t.pending) > 0 {
		out = append(out, t.pop())
	}
	*t = timeline{}
	return out
}

// defaultDuration is that of a picture that stands alone.
const defaultDuration = video.ClockRate / 15

func (t *timeline) pop() timed {
	u, at := t.pending[0], t.times[0]
	duration := t.last
	if len(t.times) > 1 {
		// A late picture may have come before one that was given its time already; time never stands still.
		duration = uint32(max(1, min(t.times[1]-at, 1<<31)))
	}
	if duration == 0 {
		duration = defaultDuration
	}
	t.last = duration
	t.pending, t.times = t.pending[1:], t.times[1:]
	if len(t.times) > 0 {
		t.times[0] = max(t.times[0], at+int64(duration))
	}
	return timed{at: at, params: u.Params, wall: u.wall, Sample: fmp4.Sample{
		Duration: duration, Offset: int32(u.Time - at), Key: u.Key, Data: fmp4.AppendNALs(nil, u.NALs),
	}}
}
