package fmp4

import (
	"bytes"
	"encoding/binary"
	"io"
)

const (
	sealMagic  = "skalds recording"
	sealReason = 24
	sealSize   = 8 + len(sealMagic) + sealReason
)

// Seal returns the last box of a file that was ended properly: a free box, which players pass over, with the reason of the end (at
// most 24 bytes). A file without it was cut.
func Seal(reason string) []byte {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, sealSize), uint32(sealSize))
	b = append(b, "free"+sealMagic...)
	b = append(b, reason[:min(len(reason), sealReason)]...)
	return append(b, make([]byte, sealSize-len(b))...)
}

// ReadSeal returns the reason with which a file of size bytes was ended; ok is false for a file that was cut.
func ReadSeal(r io.ReaderAt, size int64) (reason string, ok bool) {
	if size < int64(sealSize) {
		return "", false
	}
	var b [sealSize]byte
	if _, err := r.ReadAt(b[:], size-int64(sealSize)); err != nil {
		return "", false
	}
	if binary.BigEndian.Uint32(b[:]) != uint32(sealSize) || string(b[4:8+len(sealMagic)]) != "free"+sealMagic {
		return "", false
	}
	return string(bytes.TrimRight(b[8+len(sealMagic):], "\x00")), true
}
