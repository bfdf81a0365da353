package h265

import "github.com/skalds-go/skalds/examples/rtsp-worker/video"

// NAL unit types that matter here (table 7-1 of the standard).
const (
	// TypeLastPicture is the last type of pictures at which decoding cannot begin; they count from 0.
	TypeLastPicture = 9
	// TypeFirstIRAP and TypeLastIRAP bound the pictures at which decoding can begin: BLA, IDR and CRA.
	TypeFirstIRAP = 16
	TypeLastIRAP  = 21
	TypeVPS       = 32
	TypeSPS       = 33
	TypePPS       = 34
	TypeAUD       = 35
	TypeFiller    = 38
	// TypeSuffixSEI is the last one that is not reserved; RTP uses those from 48 on for its own.
	TypeSuffixSEI = 40
)

// HeaderSize is the length of a NAL unit's header.
const HeaderSize = 2

// Type returns the NAL unit's type, -1 for one that is shorter than its header.
func Type(nal []byte) int {
	if len(nal) < HeaderSize {
		return -1
	}
	return int(nal[0] >> 1 & 0x3f)
}

// Kind says what a NAL unit is for. Those of enhancement layers, which no camera sends, count as damaged.
func Kind(nal []byte) video.Kind {
	t := Type(nal)
	if t < 0 || nal[0]&0x81 != 0 || nal[1]&0xf8 != 0 || nal[1]&7 == 0 { // forbidden bit, layer, temporal id + 1
		return video.KindInvalid
	}
	switch {
	case t <= TypeLastPicture:
		return video.KindPicture
	case t >= TypeFirstIRAP && t <= TypeLastIRAP:
		return video.KindKey
	case t < TypeVPS || t > TypeSuffixSEI:
		return video.KindInvalid
	case t <= TypePPS:
		return video.KindParams
	case t == TypeAUD || t == TypeFiller:
		return video.KindSkip
	}
	return video.KindOther
}
