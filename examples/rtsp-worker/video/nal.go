package video

import (
	"bytes"
	"errors"
)

// Kind is what a NAL unit is for, in the words that the codecs have in common.
type Kind int

// The kinds.
const (
	// KindOther goes with a picture and is no part of it, such as SEI.
	KindOther Kind = iota
	// KindInvalid is nothing that a camera sends: the bytes are damaged.
	KindInvalid
	// KindParams is a parameter set.
	KindParams
	// KindPicture is a coded slice, KindKey one of a picture at which decoding can begin.
	KindPicture
	KindKey
	// KindSkip is a delimiter or filler, which a file does without.
	KindSkip
)

// ErrParams says that a parameter set cannot be used: cut short, corrupted, or of a kind that no camera sends.
var ErrParams = errors.New("unusable parameter set")

const (
	// MaxSide bounds both sides of a picture: larger values come from corrupted bytes.
	MaxSide = 16384
	// MaxSet bounds a parameter set: files have 16 bits for its length.
	MaxSet = 0xffff
)

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
