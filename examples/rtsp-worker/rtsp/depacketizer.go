package rtsp

import (
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/skalds-go/skalds/examples/rtsp-worker/h264"
)

// Stats counts what a connection received.
type Stats struct {
	// Units are complete access units handed over.
	Units int64
	// Bytes of RTP packets.
	Bytes int64
	// LostPackets never arrived.
	LostPackets int64
	// DroppedUnits were incomplete or damaged.
	DroppedUnits int64
	// BadPackets could not be read or did not belong here.
	BadPackets int64
	// ClockJumps is how often the camera's clock was corrected.
	ClockJumps int64
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
	payloadType uint8
	sets        h264.ParamSets
	stats       Stats
	clock       clock
	emit        func(h264.Unit)

	synced     bool
	ssrc       uint32
	seq        uint16 // expected next
	stray      int
	markerless int
	seenMarker bool

	// the unit being built
	open     bool
	ts       uint32
	nals     [][]byte
	size     int
	broken   bool
	fragment bool
	codec    codecs.H264Packet
}

// push takes one RTP packet; the bytes are not kept.
func (d *depacketizer) push(raw []byte, now time.Time) {
	d.stats.Bytes += int64(len(raw))
	var p rtp.Packet
	if err := p.Unmarshal(raw); err != nil || p.Version != 2 {
		d.stats.BadPackets++
		return // its number is now missing: the gap marks the unit
	}
	if p.PayloadType != d.payloadType || d.synced && p.SSRC != d.ssrc {
		d.stats.BadPackets++
		if p.PayloadType != d.payloadType || !d.strayed() {
			return
		}
		d.resync(&p)
	}
	if !d.synced {
		d.resync(&p)
	}
	switch gap := int16(p.SequenceNumber - d.seq); {
	case gap == 0:
		d.stray = 0
	case gap > 0 && gap <= maxGapSeq:
		d.stray = 0
		d.stats.LostPackets += int64(gap)
		d.damage()
	case !d.strayed(): // late, repeated, or its number is damaged
		d.stats.BadPackets++
		return
	default:
		d.damage()
		d.resync(&p)
	}
	d.seq = p.SequenceNumber + 1
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

// strayed counts a packet that contradicts what is known and says whether there were enough of them to believe them.
func (d *depacketizer) strayed() bool {
	d.stray++
	return d.stray >= resyncAfter
}

func (d *depacketizer) resync(p *rtp.Packet) {
	d.synced, d.ssrc, d.seq, d.stray = true, p.SSRC, p.SequenceNumber, 0
}

// damage marks the unit being built as incomplete; if none is open, the missing packet was the beginning of the next one.
func (d *depacketizer) damage() {
	d.broken = true
	d.dropFragment()
}

func (d *depacketizer) dropFragment() {
	d.fragment = false
	d.codec = codecs.H264Packet{}
}

// add takes the payload of one packet of the open unit.
func (d *depacketizer) add(payload []byte) {
	if payload[0]&0x80 != 0 || d.size+len(payload) > maxUnit { // forbidden_zero_bit
		d.damage()
		return
	}
	const fuA = 28
	if h264.Type(payload) == fuA {
		if len(payload) < 3 {
			d.damage()
			return
		}
		start, end := payload[1]&0x80 != 0, payload[1]&0x40 != 0
		if start == d.fragment || start && end { // pion checks neither
			d.damage()
			return
		}
		d.fragment = !end
	} else if d.fragment {
		d.damage()
	}
	stream, err := d.codec.Unmarshal(payload)
	if err != nil {
		d.damage()
		return
	}
	d.size += len(payload)
	for _, nal := range splitStartCodes(stream) {
		switch t := h264.Type(nal); {
		case t == h264.TypeSPS || t == h264.TypePPS:
			if d.sets.Add(nal) != nil {
				d.broken = true
			}
		case t == h264.TypeAUD || t == h264.TypeFiller:
		case t == 0 || t > 23 || len(d.nals) >= maxUnitNALs:
			d.broken = true
		default:
			d.nals = append(d.nals, nal)
		}
	}
}

// splitStartCodes takes apart what pion put together: a NAL unit cannot hold a start code by itself.
func splitStartCodes(stream []byte) [][]byte {
	if len(stream) <= 4 {
		return nil
	}
	return h264.SplitAnnexB(stream)
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
	unit := h264.Unit{NALs: d.nals, Params: d.sets.Params()}
	bad := d.broken || d.fragment
	ts := d.ts
	d.open, d.nals, d.size, d.broken = false, nil, 0, false
	d.dropFragment()
	picture := false
	for _, nal := range unit.NALs {
		picture = picture || h264.IsPicture(nal)
		unit.Key = unit.Key || h264.Type(nal) == h264.TypeIDR
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
	d.stats.Units++
	d.emit(unit)
}
