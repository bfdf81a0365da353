package h264

// bits reads a bit string from the left; past the end it answers zeros and remembers that it failed.
type bits struct {
	data   []byte
	at     int
	failed bool
}

func (b *bits) read(n int) uint32 {
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

// ue reads an unsigned Exp-Golomb number.
func (b *bits) ue() uint32 {
	zeros := 0
	for b.read(1) == 0 {
		if zeros++; zeros > 31 || b.failed {
			b.failed = true
			return 0
		}
	}
	return 1<<zeros - 1 + b.read(zeros)
}

// se reads a signed Exp-Golomb number.
func (b *bits) se() int32 {
	k := b.ue()
	if k&1 == 1 {
		return int32(k/2 + 1)
	}
	return -int32(k / 2)
}
