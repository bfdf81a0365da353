package rtsp

import (
	"bytes"
	"encoding/binary"

	"github.com/skalds-go/skalds/examples/rtsp-worker/h265"
)

// unpackerH265 reads payloads of RFC 7798 without decoding order numbers: a track that has them is not taken. PACI packets, which only
// carry hints for servers in between, count as damaged.
type unpackerH265 struct {
	// nal is the NAL unit that has begun in fragments, nil when none has; first is the header of its first fragment.
	nal   []byte
	first [3]byte
}

// Payload types of RFC 7798, section 4.4.
const (
	typeAP = 48 // several NAL units
	typeFU = 49 // a fragment of one
)

func (u *unpackerH265) halfway() bool { return u.nal != nil }

func (u *unpackerH265) reset() { u.nal = nil }

func (u *unpackerH265) push(payload []byte) ([][]byte, bool) {
	t := h265.Type(payload)
	if t < 0 || payload[0]&0x80 != 0 || u.halfway() && t != typeFU {
		return nil, false
	}
	switch t {
	case typeFU:
		return u.fragment(payload)
	case typeAP:
		return aggregated(payload[h265.HeaderSize:])
	}
	return [][]byte{bytes.Clone(payload)}, true // types without meaning here are found by whoever asks for their kind
}

func (u *unpackerH265) fragment(payload []byte) ([][]byte, bool) {
	const start, end, kind = 0x80, 0x40, 0x3f
	if len(payload) < 3 {
		return nil, false
	}
	header := [3]byte{payload[0], payload[1], payload[2] & kind}
	flags, body := payload[2], payload[3:]
	if flags&start != 0 {
		if u.halfway() || flags&end != 0 {
			return nil, false
		}
		u.first = header
		u.nal = append(make([]byte, 0, 4*len(payload)), payload[0]&0x81|header[2]<<1, payload[1])
	} else if !u.halfway() || header != u.first {
		return nil, false
	}
	u.nal = append(u.nal, body...)
	if flags&end == 0 {
		return nil, true
	}
	nal := u.nal
	u.nal = nil
	return [][]byte{nal}, true
}

// aggregated takes apart an aggregation packet; one with a single NAL unit is not allowed, but understood.
func aggregated(body []byte) (nals [][]byte, ok bool) {
	for len(body) > 0 {
		if len(body) < 2 {
			return nil, false
		}
		n := int(binary.BigEndian.Uint16(body))
		if body = body[2:]; n < h265.HeaderSize || n > len(body) {
			return nil, false
		}
		nals = append(nals, bytes.Clone(body[:n]))
		body = body[n:]
	}
	return nals, len(nals) > 0
}
