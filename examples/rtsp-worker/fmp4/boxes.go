package fmp4

import "encoding/binary"

// boxes builds nested boxes; the size of each is filled in when its body is done.
type boxes struct{ data []byte }

func (b *boxes) box(kind string, body func()) {
	at := len(b.data)
	b.u32(0)
	b.str(kind)
	body()
	binary.BigEndian.PutUint32(b.data[at:], uint32(len(b.data)-at))
}

func (b *boxes) full(kind string, version byte, flags uint32, body func()) {
	b.box(kind, func() {
		b.u32(uint32(version)<<24 | flags)
		body()
	})
}

func (b *boxes) str(s string) { b.data = append(b.data, s...) }

func (b *boxes) u32(values ...uint32) {
	for _, v := range values {
		b.data = binary.BigEndian.AppendUint32(b.data, v)
	}
}

func (b *boxes) u16(values ...uint16) {
	for _, v := range values {
		b.data = binary.BigEndian.AppendUint16(b.data, v)
	}
}

// matrix is the identity.
func (b *boxes) matrix() { b.u32(0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000) }
