package video

// Bits reads a bit string from the left; past the end it answers zeros and remembers that it failed.
type Bits struct {
	data   []byte
	at     int
	failed bool
}

// NewBits reads the body of a NAL unit.
func NewBits(nal []byte) *Bits { return &Bits{data: Unescape(nal)} }

// RawBits reads bytes without emulation prevention, that is anything but a NAL unit.
func RawBits(data []byte) *Bits { return &Bits{data: data} }

// Read returns the next n bits, the last 32 of them where there are more.
func (b *Bits) Read(n int) uint32 {
	var v uint32
	for range n {
		if b.at>>3 >= len(b.data) {
			b.failed = true
			return 0
		}
		v = v<<1 | uint32(b.data[b.at>>3]>>(7-b.at&7)&1)
		b.at++
	}
	return v
}

// UE reads an unsigned Exp-Golomb number.
func (b *Bits) UE() uint32 {
	zeros := 0
	for b.Read(1) == 0 {
		if zeros++; zeros > 31 || b.failed {
			b.failed = true
			return 0
		}
	}
	return 1<<zeros - 1 + b.Read(zeros)
}

// SE reads a signed Exp-Golomb number.
func (b *Bits) SE() int32 {
	k := b.UE()
	if k&1 == 1 {
		return int32(k/2 + 1)
	}
	return -int32(k / 2)
}

// Failed says that something was read behind the end, or that a number was too long.
func (b *Bits) Failed() bool { return b.failed }
