package rtsp

import (
	"github.com/pion/rtp/codecs"

	"github.com/skalds-go/skalds/examples/rtsp-worker/h264"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// unpackerH264 reads payloads of RFC 6184, without interleaving.
type unpackerH264 struct {
	fragment bool
	codec    codecs.H264Packet
}

func (u *unpackerH264) halfway() bool { return u.fragment }

func (u *unpackerH264) reset() { *u = unpackerH264{} }

func (u *unpackerH264) push(payload []byte) ([][]byte, bool) {
	if payload[0]&0x80 != 0 { // forbidden_zero_bit
		return nil, false
	}
	const fuA = 28
	if h264.Type(payload) == fuA {
		if len(payload) < 3 {
			return nil, false
		}
		start, end := payload[1]&0x80 != 0, payload[1]&0x40 != 0
		if start == u.fragment || start && end { // pion checks neither
			return nil, false
		}
		u.fragment = !end
	} else if u.fragment {
		return nil, false
	}
	stream, err := u.codec.Unmarshal(payload)
	if err != nil {
		return nil, false
	}
	if len(stream) <= 4 {
		return nil, true
	}
	return video.SplitAnnexB(stream), true // what pion put together: a NAL unit cannot hold a start code by itself
}
