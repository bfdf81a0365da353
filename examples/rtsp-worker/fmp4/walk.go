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
	// Duration is the playing time of the pictures of the whole parts.
	Duration time.Duration
	// Codec of the video.
	Codec video.Codec
	// Width and Height of the picture.
	Width, Height int
	// Sound says that there is a track of sound.
	Sound bool
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
	if err := info.describe(moov[8:]); err != nil {
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
		pictures, bytes, good := fragment(moof[8:], info.Sound)
		if !good || bytes != uint64(mdat)-8 {
			break
		}
		if info.Parts == 0 {
			first, end = pictures.base, pictures.base
		}
		if pictures.base < end || pictures.base-end > maxGap || pictures.ticks > maxGap {
			break
		}
		end = pictures.base + pictures.ticks
		at += length + mdat
		info.Whole = at
		info.Parts++
		info.Frames += pictures.samples
	}
	info.Duration = time.Duration(end-first) * time.Second / video.ClockRate
	if reason, ok := ReadSeal(r, size); ok && err == nil && size-info.Whole == int64(sealSize) {
		info.EndReason, info.Whole = reason, size
	}
	return info, err
}

// describe reads the sample descriptions that Header wrote.
func (info *Info) describe(moov []byte) error {
	const fixed = 8 + 8 + 28 // version and number, box header, fields up to the height
	traks := all(moov, "trak")
	for i, trak := range traks {
		stsd := path(trak, "mdia", "minf", "stbl", "stsd")
		if len(stsd) < fixed {
			break
		}
		kind := string(stsd[12:16])
		if i == 1 && kind == entryAAC {
			info.Sound = true
			continue
		}
		for codec, e := range entries {
			if i == 0 && kind == e.sample {
				info.Codec = codec
				info.Width, info.Height = int(binary.BigEndian.Uint16(stsd[40:])), int(binary.BigEndian.Uint16(stsd[42:]))
			}
		}
	}
	if info.Codec == "" || len(traks) > 2 || info.Sound != (len(traks) == 2) {
		return fmt.Errorf("walk file: no tracks that this program writes: %w", ErrNotOurs)
	}
	return nil
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

// all returns the bodies of the boxes of one kind that lie side by side in data.
func all(data []byte, kind string) (bodies [][]byte) {
	for len(data) >= 8 {
		n := int(binary.BigEndian.Uint32(data))
		if n < 8 || n > len(data) {
			break
		}
		if string(data[4:8]) == kind {
			bodies = append(bodies, data[8:n])
		}
		data = data[n:]
	}
	return bodies
}

// path finds a box within data by the kinds of the boxes around it, each the first of its kind, and returns its body.
func path(data []byte, kinds ...string) []byte {
	for _, kind := range kinds {
		bodies := all(data, kind)
		if len(bodies) == 0 {
			return nil
		}
		data = bodies[0]
	}
	return data
}

// run is what a moof says of one track.
type run struct {
	base, ticks uint64
	samples     int
}

// fragment reads what AppendPart put into a moof: the run of the pictures, and the bytes of all runs.
func fragment(moof []byte, sound bool) (pictures run, bytes uint64, ok bool) {
	trafs := all(moof, "traf")
	if len(trafs) == 0 || len(trafs) > 2 || len(trafs) == 2 && !sound {
		return run{}, 0, false
	}
	for i, traf := range trafs {
		id, fields := uint32(videoTrack), uint32(runVideo)
		if i == 1 {
			id, fields = audioTrack, runAudio
		}
		r, n, ok := readRun(traf, id, fields)
		if !ok {
			return run{}, 0, false
		}
		bytes += n
		if i == 0 {
			pictures = r
		}
	}
	return pictures, bytes, true
}

func readRun(traf []byte, id, fields uint32) (r run, bytes uint64, ok bool) {
	tfhd, tfdt, trun := path(traf, "tfhd"), path(traf, "tfdt"), path(traf, "trun")
	if len(tfhd) != 8 || binary.BigEndian.Uint32(tfhd[4:]) != id || len(tfdt) != 12 || tfdt[0] != 1 ||
		len(trun) < 12 || binary.BigEndian.Uint32(trun)&0xffffff != fields {
		return run{}, 0, false
	}
	size := 16
	if fields == runAudio {
		size = 8
	}
	n := uint64(binary.BigEndian.Uint32(trun[4:]))
	if uint64(len(trun)-12) != n*uint64(size) || n == 0 {
		return run{}, 0, false
	}
	for s := trun[12:]; len(s) >= size; s = s[size:] {
		r.ticks += uint64(binary.BigEndian.Uint32(s))
		bytes += uint64(binary.BigEndian.Uint32(s[4:]))
	}
	r.base, r.samples = binary.BigEndian.Uint64(tfdt[4:]), int(n)
	return r, bytes, true
}
