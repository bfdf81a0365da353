package rtsp

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// report collects what an RTCP receiver report says (RFC 3550, section 6.4). Its methods may be called from any goroutine.
type report struct {
	rate int64 // of the stream's clock

	// mu guards what follows.
	mu                      sync.Mutex
	own                     uint32
	ssrc                    uint32
	started                 bool
	first, highest          uint32
	received                uint32
	priorExpected, priorGot uint32
	transit                 uint32
	jitter                  float64
	lastSR                  uint32
	lastSRAt                time.Time
}

// packet notes an RTP packet.
func (r *report) packet(raw []byte, now time.Time) {
	var h rtp.Header
	if _, err := h.Unmarshal(raw); err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	arrival := uint32(now.Unix()*r.rate + int64(now.Nanosecond())*r.rate/1e9)
	if !r.started || h.SSRC != r.ssrc {
		r.started, r.ssrc, r.first, r.highest = true, h.SSRC, uint32(h.SequenceNumber), uint32(h.SequenceNumber)
		r.received, r.priorExpected, r.priorGot, r.jitter, r.transit = 0, 0, 0, 0, arrival-h.Timestamp
	}
	if step := int16(h.SequenceNumber - uint16(r.highest)); step > 0 && step <= maxGapSeq {
		r.highest += uint32(step)
	}
	r.received++
	transit := arrival - h.Timestamp
	if d := int64(int32(transit - r.transit)); d < r.rate && d > -r.rate {
		r.jitter += (float64(max(d, -d)) - r.jitter) / 16
	}
	r.transit = transit
}

// sender notes an RTCP packet of the camera; ok is false when it does not tell the camera's time.
func (r *report) sender(raw []byte, now time.Time) (t senderTime, ok bool) {
	packets, err := rtcp.Unmarshal(raw)
	if err != nil {
		return t, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range packets {
		if sr, is := p.(*rtcp.SenderReport); is {
			r.lastSR, r.lastSRAt = uint32(sr.NTPTime>>16), now
			t, ok = senderTime{ntp: sr.NTPTime, rtp: sr.RTPTime}, sr.NTPTime != 0
		}
	}
	return t, ok
}

// build returns the next report, nil before the first packet.
func (r *report) build(now time.Time) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started {
		return nil
	}
	expected := r.highest - r.first + 1
	lost := int64(expected) - int64(r.received)
	block := rtcp.ReceptionReport{
		SSRC: r.ssrc, LastSequenceNumber: r.highest, Jitter: uint32(r.jitter), LastSenderReport: r.lastSR,
		TotalLost: uint32(min(max(lost, 0), 0x7fffff)),
	}
	interval, got := expected-r.priorExpected, r.received-r.priorGot
	if interval > got && interval > 0 {
		block.FractionLost = uint8(min(uint64(interval-got)*256/uint64(interval), 255))
	}
	r.priorExpected, r.priorGot = expected, r.received
	if !r.lastSRAt.IsZero() {
		block.Delay = uint32(now.Sub(r.lastSRAt) * 65536 / time.Second)
	}
	out, err := rtcp.Marshal([]rtcp.Packet{
		&rtcp.ReceiverReport{SSRC: r.own, Reports: []rtcp.ReceptionReport{block}},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
			Source: r.own, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "rtsp-worker"}},
		}}},
	})
	if err != nil {
		return nil
	}
	return out
}
