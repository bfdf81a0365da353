package rtsp

import (
	"time"

	"github.com/pion/rtp"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
)

// soundReceiver makes frames of sound of RTP packets. What it cannot read is dropped and counted. It has no clock: time comes in as an
// argument.
type soundReceiver struct {
	config *aac.Config
	unpack unpackerAAC
	stats  *Stats
	seq    sequence
	clock  clock
	ts     uint32 // of the packet before
	sync   *lipsync
	emit   func(aac.Frame)
	// complain is called once, when none of the first packets could be read.
	complain func()
	unread   int
}

// unreadable is how many packets in a row, from the first on, must make no sense to call the whole stream so.
const unreadable = 100

func newSoundReceiver(t *soundTrack, sync *lipsync, stats *Stats, emit func(aac.Frame), complain func()) *soundReceiver {
	return &soundReceiver{
		config: t.config, unpack: unpackerAAC{sizeBits: t.sizeBits, indexBits: t.indexBits}, stats: stats,
		seq: sequence{payloadType: t.payloadType}, clock: clock{rate: int64(t.config.Rate)}, sync: sync, emit: emit, complain: complain,
	}
}

// push takes one RTP packet; the bytes are not kept.
func (r *soundReceiver) push(raw []byte, now time.Time) {
	r.stats.Bytes += int64(len(raw))
	var p rtp.Packet
	if err := p.Unmarshal(raw); err != nil || p.Version != 2 {
		r.stats.BadSound++
		return
	}
	lost, damaged, ok := r.seq.follow(&p)
	if !ok {
		r.stats.BadSound++
		return
	}
	r.stats.LostSound += int64(lost)
	if damaged || p.Timestamp != r.ts { // fragments of one frame have one timestamp
		r.unpack.reset()
	}
	r.ts = p.Timestamp
	if len(p.Payload) == 0 { // it only carries padding
		return
	}
	frames, ok := r.unpack.push(p.Payload)
	if !ok {
		r.unpack.reset()
		r.stats.BadSound++
		if r.unread++; r.unread == unreadable {
			r.complain()
		}
		return
	}
	if len(frames) == 0 {
		return
	}
	r.unread = unreadable + 1
	at, jumped := r.clock.next(p.Timestamp, now, false)
	place, ok := r.sync.hear(p.Timestamp, at, now, jumped)
	r.stats.SoundMoves = int64(r.sync.moves)
	if !ok {
		return // there is no picture yet that it could go with
	}
	for i, data := range frames {
		if data = aac.StripADTS(data); len(data) == 0 {
			continue
		}
		r.stats.SoundFrames++
		r.emit(aac.Frame{Time: place + int64(i*r.config.FrameTicks), Data: data, Config: r.config})
	}
}
