package h264

import "github.com/skalds-go/skalds/examples/rtsp-worker/video"

// NAL unit types that matter here (table 7-1 of the standard).
const (
	TypeSlice  = 1
	TypeIDR    = 5
	TypeSPS    = 7
	TypePPS    = 8
	TypeAUD    = 9
	TypeFiller = 12
	// TypeLast is the last one that the standard defines; RTP uses those behind it for its own.
	TypeLast = 23
)

// Type returns the NAL unit's type, 0 for an empty one.
func Type(nal []byte) int {
	if len(nal) == 0 {
		return 0
	}
	return int(nal[0] & 0x1f)
}

// Kind says what a NAL unit is for.
func Kind(nal []byte) video.Kind {
	switch t := Type(nal); {
	case t == 0 || t > TypeLast:
		return video.KindInvalid
	case t == TypeIDR:
		return video.KindKey
	case t < TypeIDR:
		return video.KindPicture
	case t == TypeSPS || t == TypePPS:
		return video.KindParams
	case t == TypeAUD || t == TypeFiller:
		return video.KindSkip
	}
	return video.KindOther
}
