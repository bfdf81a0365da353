package h264

import "bytes"

// NAL unit types that matter here (table 7-1 of the standard).
const (
	TypeSlice  = 1
	TypeIDR    = 5
	TypeSEI    = 6
	TypeSPS    = 7
	TypePPS    = 8
	TypeAUD    = 9
	TypeFiller = 12
)

// Type returns the NAL unit's type, 0 for an empty one.
func Type(nal []byte) int {
	if len(nal) == 0 {
		return 0
	}
	return int(nal[0] & 0x1f)
}

// IsPicture says whether the NAL unit carries a coded slice.
func IsPicture(nal []byte) bool {
	t := Type(nal)
	return t >= TypeSlice && t <= TypeIDR
}

// SplitAnnexB cuts a byte stream at its start codes (three or four bytes). The results point into stream.
func SplitAnnexB(stream []byte) [][]byte {
	var nals [][]byte
	startCode := []byte{0, 0, 1}
	at := bytes.Index(stream, startCode)
	for at >= 0 {
		body := stream[at+3:]
		next := bytes.Index(body, startCode)
		nal := body
		if next >= 0 {
			nal = body[:next]
			at += 3 + next
		} else {
			at = -1
		}
		// Zero bytes before a start code belong to the start code: a NAL unit never ends in one.
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
	return nals
}

// Unescape removes the emulation prevention bytes (00 00 03 becomes 00 00).
func Unescape(nal []byte) []byte {
	out := make([]byte, 0, len(nal))
	zeros := 0
	for _, b := range nal {
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, b)
	}
	return out
}
