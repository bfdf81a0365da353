package rtsp

import (
	"encoding/binary"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// unpackerAAC makes access units of the payloads of RFC 3640, section 3.2. Those that are sent out of order are not taken: no camera
// is known to.
type unpackerAAC struct {
	sizeBits, indexBits int
	// part is the access unit that has begun in fragments, nil when none has; want is its length.
	part []byte
	want int
}

func (u *unpackerAAC) reset() { u.part = nil }

// push takes a payload and returns the access units that are complete with it; ok is false when it is damaged or does not follow what
// came before. The payload is not kept.
func (u *unpackerAAC) push(payload []byte) (units [][]byte, ok bool) {
	if len(payload) < 2 {
		return nil, false
	}
	bits := int(binary.BigEndian.Uint16(payload))
	n, bytes := bits/(u.sizeBits+u.indexBits), (bits+7)/8
	if n == 0 || bits%(u.sizeBits+u.indexBits) != 0 || len(payload) < 2+bytes {
		return nil, false
	}
	heads, data := video.RawBits(payload[2:2+bytes]), payload[2+bytes:]
	for range n {
		size := int(heads.Read(u.sizeBits))
		if heads.Read(u.indexBits) != 0 || size == 0 {
			return nil, false
		}
		if size > len(data) || u.part != nil {
			if n > 1 {
				return nil, false
			}
			return u.fragment(size, data)
		}
		units = append(units, append(make([]byte, 0, size), data[:size]...))
		data = data[size:]
	}
	return units, true
}

// fragment takes a piece of one access unit; each piece names the length of the whole.
func (u *unpackerAAC) fragment(size int, data []byte) ([][]byte, bool) {
	if u.part == nil {
		u.part, u.want = make([]byte, 0, size), size
	}
	if size != u.want || len(u.part)+len(data) > size {
		return nil, false
	}
	u.part = append(u.part, data...)
	if len(u.part) < size {
		return nil, true
	}
	unit := u.part
	u.part = nil
	return [][]byte{unit}, true
}
