package rtsp

import (
	"time"

	"github.com/pion/rtp"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// Stats counts what a connection received. What is not said to be of sound is of video only.
type Stats struct {
	// Units are complete access units handed over.
	Units int64
	// Bytes of RTP packets, those of sound included.
	Bytes int64
	// LostPackets never arrived.
	LostPackets int64
	// DroppedUnits were incomplete or damaged.
	DroppedUnits int64
	// BadPackets could not be read or did not belong here.
	BadPackets int64
	// ClockJumps is how often the camera's clock was corrected.
	ClockJumps int64
	// SoundFrames were handed over.
	SoundFrames int64
	// LostSound and BadSound are packets of sound that never arrived, or could not be read or did not belong here.
	LostSound, BadSound int64
	// SoundMoves is how often sound was put to another place beside the pictures.
	SoundMoves int64
}

const (
	maxUnit      = 16 << 20
	maxUnitNALs  = 4096
	maxGapSeq    = 1000 // a larger gap is a damaged number
	resyncAfter  = 5    // packets in a row that contradict what is known: then they are right
	markerlessOK = 25   // units in a row without any marker: this camera sets none
)

// depacketizer makes access units of RTP packets. It has no clock: time comes in as an argument.
type depacketizer struct {
	coding *coding
	sets   video.ParamSets
	unpack unpacker
	stats  *Stats
	seq    sequence
	clock  clock
	sync   *lipsync
	emit   func(video.Unit)

	markerless int
	seenMarker bool

	// the unit being built
	open   bool
	ts     uint32
	nals   [][]byte
	size   int
	broken bool
}

func newDepacketizer(t *track, sync *lipsync, stats *Stats, emit func(video.Unit)) *depacketizer {
	return &depacketizer{
		coding: t.coding, sets: t.sets, unpack: t.coding.unpacker(), stats: stats,
		seq: sequence{payloadType: t.payloadType}, clock: clock{rate: video.ClockRate}, sync: sync, emit: emit,
	}
}

// push takes one RTP packet; the bytes are not kept.
func (d *depacketizer) push(raw []byte, now time.Time) {
	d.stats.Bytes += int64(len(raw))
	var p rtp.Packet
	if err := p.Unmarshal(raw); err != nil || p.Version != 2 {
		d.stats.BadPackets++
		return // its number is now missing: the gap marks the unit
	}
	lost, damaged, ok := d.seq.follow(&p)
	if !ok {
		d.stats.BadPackets++
		return
	}
	d.stats.LostPackets += int64(lost)
	if damaged {
		d.damage()
	}
	if d.open && p.Timestamp != d.ts {
		d.closeWithoutMarker(now)
	}
	if !d.open {
		d.open, d.ts = true, p.Timestamp
	}
	if len(p.Payload) > 0 { // an empty packet only carries padding
		d.add(p.Payload)
	}
	if p.Marker {
		d.seenMarker, d.markerless = true, 0
		d.finish(now)
	}
}

// damage marks the unit being built as incomplete; if none is open, the missing packet was the beginning of the next one.
func (d *depacketizer) damage() {
	d.broken = true
	d.unpack.reset()
}

// add takes the payload of one packet of the open unit.
func (d *depacketizer) add(payload []byte) {
	if d.size+len(payload) > maxUnit {
		d.damage()
		return
	}
	halfway := d.unpack.halfway()
	nals, ok := d.unpack.push(payload)
	if !ok {
		d.damage()
		if !halfway {
			return
		}
		if nals, ok = d.unpack.push(payload); !ok { // it may be whole in itself, behind the fragments that end nowhere
			d.damage()
			return
		}
	}
	d.size += len(payload)
	for _, nal := range nals {
		switch d.coding.kind(nal) {
		case video.KindParams:
			if d.sets.Add(nal) != nil {
				d.broken = true
			}
		case video.KindSkip:
		case video.KindInvalid:
			d.broken = true
		default:
			if len(d.nals) >= maxUnitNALs {
				d.broken = true
				return
			}
			d.nals = append(d.nals, nal)
		}
	}
}

// closeWithoutMarker ends a unit because the next one began. Its last packet may be missing or damaged, so it is dropped, unless this
// camera never sets the marker.
func (d *depacketizer) closeWithoutMarker(now time.Time) {
	if !d.seenMarker && !d.broken {
		if d.markerless++; d.markerless >= markerlessOK {
			d.finish(now)
			return
		}
	}
	d.broken = true
	d.finish(now)
}

// finish hands the open unit over, or drops it.
func (d *depacketizer) finish(now time.Time) {
	unit := video.Unit{NALs: d.nals, Params: d.sets.Params()}
	bad := d.broken || d.unpack.halfway()
	ts := d.ts
	d.open, d.nals, d.size, d.broken = false, nil, 0, false
	d.unpack.reset()
	picture := false
	for _, nal := range unit.NALs {
		kind := d.coding.kind(nal)
		unit.Key = unit.Key || kind == video.KindKey
		picture = picture || kind == video.KindKey || kind == video.KindPicture
	}
	if bad {
		d.stats.DroppedUnits++
		return
	}
	if !picture || unit.Params == nil {
		return // parameter sets or SEI alone, or nothing to decode with yet
	}
	var jumped bool
	if unit.Time, jumped = d.clock.next(ts, now, unit.Params.Reorder > 0); jumped {
		d.stats.ClockJumps++
	}
	d.sync.picture(ts, unit.Time, now, jumped)
	d.stats.Units++
	d.emit(unit)
}
