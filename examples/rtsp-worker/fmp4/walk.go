package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// Info says what of a file is whole.
type Info struct {
	// Whole is the length in bytes up to the end of the last whole part; 0 when not even the header is whole.
	Whole int64
	// Parts and Frames are the numbers of whole parts and the pictures in them.
	Parts, Frames int
	// Duration is the playing time of the whole parts.
	Duration time.Duration
	// Codec of the video.
	Codec video.Codec
	// Width and Height of the picture.
	Width, Height int
	// EndReason is what Seal was given; "" for a file that was cut.
	EndReason string
}

// ErrNotOurs says that a file is not of the form that this package writes.
var ErrNotOurs = errors.New("not a recording of this program")

const (
	maxHeader = 1 << 20
	maxMoof   = 4 << 20
)

// Walk reads the boxes of a file of size bytes, pictures excepted, and stops at the first that is not whole. What follows the last
// whole part is no error; a file that does not begin as ours do is ErrNotOurs.
func Walk(r io.ReaderAt, size int64) (Info, error) {
	var info Info
	var at int64
	kind, length, ok, err := boxAt(r, at, size)
	if err != nil || !ok {
		return info, err
	}
	if kind != "ftyp" {
		return info, fmt.Errorf("walk file: begins with %q: %w", kind, ErrNotOurs)
	}
	at += length
	kind, length, ok, err = boxAt(r, at, size)
	if err != nil || !ok {
		return info, err
	}
	if kind != "moov" || length > maxHeader {
		return info, fmt.Errorf("walk file: %q of %d bytes where moov is due: %w", kind, length, ErrNotOurs)
	}
	moov := make([]byte, length)
	if _, err := r.ReadAt(moov, at); err != nil {
		return info, fmt.Errorf("walk file: %w", err)
	}
	if err := info.describe(path(moov[8:], "trak", "mdia", "minf", "stbl", "stsd")); err != nil {
		return info, err
	}
	at += length
	info.Whole = at
	var first, end uint64
	for {
		kind, length, ok, err = boxAt(r, at, size)
		if err != nil || !ok || kind != "moof" || length > maxMoof {
			break
		}
		moof := make([]byte, length)
		if _, err = r.ReadAt(moof, at); err != nil {
			break
		}
		var mdat int64
		if kind, mdat, ok, err = boxAt(r, at+length, size); err != nil || !ok || kind != "mdat" {
			break
		}
		base, ticks, bytes, frames, good := fragment(moof[8:])
		if !good || bytes != uint64(mdat)-8 {
			break
		}
		if info.Parts == 0 {
			first, end = base, base
		}
		if base < end || base-end > maxGap || ticks > maxGap {
			break
		}
		end = base + ticks
		at += length + mdat
		info.Whole = at
		info.Parts++
		info.Frames += frames
	}
	info.Duration = time.Duration(end-first) * time.Second / video.ClockRate
	if reason, ok := ReadSeal(r, size); ok && err == nil && size-info.Whole == int64(sealSize) {
		info.EndReason, info.Whole = reason, size
	}
	return info, err
}

// describe reads the sample description that Header wrote.
func (info *Info) describe(stsd []byte) error {
	const fixed = 8 + 8 + 28 // version and number, box header, fields up to the height
	if len(stsd) >= fixed {
		for codec, e := range entries {
			if string(stsd[12:16]) == e.sample {
				info.Codec = codec
				info.Width, info.Height = int(binary.BigEndian.Uint16(stsd[40:])), int(binary.BigEndian.Uint16(stsd[42:]))
				return nil
			}
		}
	}
	return fmt.Errorf("walk file: no video track that this program writes: %w", ErrNotOurs)
}

// maxGap bounds what lies between two parts, and a part itself: a day.
const maxGap = 24 * 3600 * video.ClockRate

// boxAt reads a box's header; ok is false when the box is not whole.
func boxAt(r io.ReaderAt, at, size int64) (kind string, length int64, ok bool, err error) {
	if size-at < 8 {
		return "", 0, false, nil
	}
	var head [8]byte
	if _, err := r.ReadAt(head[:], at); err != nil {
		return "", 0, false, fmt.Errorf("read box at %d: %w", at, err)
	}
	length = int64(binary.BigEndian.Uint32(head[:]))
	if length < 8 || length > size-at {
		return "", 0, false, nil
	}
	return string(head[4:]), length, true, nil
}

// path finds a box within data by the kinds of the boxes around it and returns its body.
func path(data []byte, kinds ...string) []byte {
	for _, want := range kinds {
		var body []byte
		for len(data) >= 8 {
			n := int(binary.BigEndian.Uint32(data))
			if n < 8 || n > len(data) {
				return nil
			}
			if string(data[4:8]) == want {
				body = data[8:n]
				break
			}
			data = data[n:]
		}
		if body == nil {
			return nil
		}
		data = body
	}
	return data
}

// fragment reads what AppendPart put into a moof.
func fragment(moof []byte) (base, ticks, bytes uint64, frames int, ok bool) {
	tfdt, trun := path(moof, "traf", "tfdt"), path(moof, "traf", "trun")
	if len(tfdt) != 12 || tfdt[0] != 1 || len(trun) < 12 || binary.BigEndian.Uint32(trun)&0xffffff != 0x000f01 {
		return 0, 0, 0, 0, false
	}
	n := uint64(binary.BigEndian.Uint32(trun[4:]))
	if uint64(len(trun)-12) != n*16 || n == 0 {
		return 0, 0, 0, 0, false
	}
	for s := trun[12:]; len(s) >= 16; s = s[16:] {
		ticks += uint64(binary.BigEndian.Uint32(s))
		bytes += uint64(binary.BigEndian.Uint32(s[4:]))
	}
	return binary.BigEndian.Uint64(tfdt[4:]), ticks, bytes, int(n), true
}
