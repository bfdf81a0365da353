package aac

import (
	"encoding/binary"
	"fmt"
)

// adts returns the length of the ADTS header (ISO/IEC 14496-3, section 1.A.2.2) and of the frame with it; ok is false when b does not
// begin with one.
func adts(b []byte) (header, length int, ok bool) {
	if len(b) < 7 || binary.BigEndian.Uint16(b)&0xfff6 != 0xfff0 {
		return 0, 0, false
	}
	header = 7
	if b[1]&1 == 0 { // a checksum follows
		header = 9
	}
	length = int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	return header, length, length >= header
}

// StripADTS removes the ADTS header that some cameras send where none belongs. A frame cannot begin like one: it would be empty.
func StripADTS(frame []byte) []byte {
	if header, length, ok := adts(frame); ok && length == len(frame) {
		return frame[header:]
	}
	return frame
}

// SplitADTS cuts a stream of frames with ADTS headers. The results point into stream.
func SplitADTS(stream []byte) (frames [][]byte, config *Config, err error) {
	if len(stream) < 7 {
		return nil, nil, fmt.Errorf("read ADTS stream of %d bytes: %w", len(stream), ErrConfig)
	}
	object, index := stream[2]>>6+1, stream[2]>>2&0xf
	channels := stream[2]&1<<2 | stream[3]>>6
	raw := []byte{object<<3 | index>>1, index<<7 | channels<<3}
	if int(index) >= len(rates) {
		return nil, nil, fmt.Errorf("read ADTS stream: rate number %d: %w", index, ErrConfig)
	}
	if config, err = ParseConfig(raw, rates[index]); err != nil {
		return nil, nil, err
	}
	for len(stream) > 0 {
		header, length, ok := adts(stream)
		if !ok || length > len(stream) {
			return nil, nil, fmt.Errorf("read ADTS frame %d: %w", len(frames), ErrConfig)
		}
		frames = append(frames, stream[header:length])
		stream = stream[length:]
	}
	return frames, config, nil
}
