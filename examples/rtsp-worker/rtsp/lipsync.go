package rtsp

import (
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// lipsync finds the place of sound beside the pictures. Both clocks of RTP begin anywhere; what they have in common is the camera's own
// time, which its sender reports (RFC 3550, section 6.4.1) name for both. Until these come, and where they make no sense, what arrives
// at the same time belongs together. Time comes in as an argument.
type lipsync struct {
	rate     int64 // of the sound
	pictures mark
	sound    mark
	// arrived is where the last sound would be if what arrives at the same time belonged together.
	arrived int64
	placed  bool
	offset  int64 // from the clock of the sound to that of the pictures, in ticks of sound
	told    bool  // offset is that of reports
	astray  time.Time
	moves   int
}

// mark is how far a stream is.
type mark struct {
	known  bool
	rtp    uint32
	ticks  int64 // the same moment, as its clock has it
	at     time.Time
	report senderTime
}

// senderTime is one moment on a camera's own clock and on that of RTP.
type senderTime struct {
	ntp uint64 // seconds in 32.32 bits, 0 while unknown
	rtp uint32
}

const (
	// moveBeyond is the share of a second that sound may be out of place before it is moved: a move is a gap that can be heard.
	moveBeyond = 25
	// maxSkew is how many seconds reports and arrival may contradict each other; then the reports make no sense.
	maxSkew = 2
	// astrayFor is how long sound must arrive at the wrong time before it is moved to where it arrives. A connection that stood
	// still and catches up looks the same for a while.
	astrayFor = 5 * time.Second
)

func (m *mark) set(rtp uint32, ticks int64, now time.Time, jumped bool) {
	m.known, m.rtp, m.ticks, m.at = true, rtp, ticks, now
	if jumped {
		m.report = senderTime{} // it named another clock
	}
}

// picture notes a picture that was complete at now.
func (l *lipsync) picture(rtp uint32, ticks int64, now time.Time, jumped bool) {
	l.pictures.set(rtp, ticks, now, jumped)
}

// hear returns the place of a sound that arrived at now, in its own ticks; ok is false before the first picture.
func (l *lipsync) hear(rtp uint32, at int64, now time.Time, jumped bool) (place int64, ok bool) {
	l.sound.set(rtp, at, now, jumped)
	if !l.pictures.known {
		return 0, false
	}
	l.arrived = l.fromVideo(l.pictures.ticks) + ticks(now.Sub(l.pictures.at), l.rate)
	if !l.placed {
		l.placed, l.offset = true, l.arrived-at
		l.settle()
	}
	switch skew := at + l.offset - l.arrived; {
	case skew >= -maxSkew*l.rate && skew <= maxSkew*l.rate:
		l.astray = time.Time{}
	case l.astray.IsZero():
		l.astray = now
	case now.Sub(l.astray) >= astrayFor:
		l.move(l.arrived - at)
		l.astray, l.told = time.Time{}, false
	}
	return at + l.offset, true
}

// reportPictures and reportSound note a sender report of either stream.
func (l *lipsync) reportPictures(t senderTime) {
	l.pictures.report = t
	l.settle()
}

func (l *lipsync) reportSound(t senderTime) {
	l.sound.report = t
	l.settle()
}

// settle puts sound where the reports say, once there is one of each stream.
func (l *lipsync) settle() {
	p, s := l.pictures, l.sound
	if !l.placed || p.report.ntp == 0 || s.report.ntp == 0 {
		return
	}
	apart := int64(s.report.ntp - p.report.ntp)
	if apart < -3600<<32 || apart > 3600<<32 {
		return
	}
	reported := l.fromVideo(p.ticks + int64(int32(p.report.rtp-p.rtp))) // the moment of the report of the pictures
	place := reported + apart>>16*l.rate>>16 + int64(int32(s.rtp-s.report.rtp))
	if skew := place - l.arrived; skew < -maxSkew*l.rate || skew > maxSkew*l.rate {
		return
	}
	wrong := place - (s.ticks + l.offset)
	if !l.told || wrong < -l.rate/moveBeyond || wrong > l.rate/moveBeyond {
		l.move(place - s.ticks)
	}
	l.told = true
}

func (l *lipsync) move(offset int64) {
	if l.offset != offset {
		l.offset = offset
		l.moves++
	}
}

func (l *lipsync) fromVideo(ticks int64) int64 { return ticks * l.rate / video.ClockRate }
