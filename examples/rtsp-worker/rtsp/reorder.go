package rtsp

import "encoding/binary"

// reorder puts the packets of a UDP stream back into order: a packet that came too early waits until the gap before it is filled or
// depth packets wait. Its zero value with a depth is ready.
type reorder struct {
	depth   int
	started bool
	next    uint16
	waiting map[uint16][]byte
	free    [][]byte
}

// push takes a packet and calls out for each one whose turn has come. The bytes are not kept.
func (r *reorder) push(raw []byte, out func([]byte)) {
	if len(raw) < 12 {
		out(raw)
		return
	}
	seq := binary.BigEndian.Uint16(raw[2:])
	if !r.started {
		r.started, r.next = true, seq
	}
	switch gap := int16(seq - r.next); {
	case gap == 0:
		out(raw)
		r.next++
		r.release(out)
	case gap > 0 && gap <= maxGapSeq:
		if r.waiting == nil {
			r.waiting = map[uint16][]byte{}
		}
		if _, twice := r.waiting[seq]; twice {
			return
		}
		r.waiting[seq] = append(r.buffer(), raw...)
		for len(r.waiting) > r.depth { // what is missing is lost
			r.next++
			r.release(out)
		}
	case gap < 0 && gap > -maxGapSeq:
		out(raw) // late: the depacketizer counts it
	default: // another numbering
		r.flush(out)
		out(raw)
		r.next = seq + 1
	}
}

func (r *reorder) release(out func([]byte)) {
	for {
		raw, ok := r.waiting[r.next]
		if !ok {
			return
		}
		delete(r.waiting, r.next)
		out(raw)
		r.free = append(r.free, raw)
		r.next++
	}
}

func (r *reorder) flush(out func([]byte)) {
	for len(r.waiting) > 0 {
		r.release(out)
		r.next++
	}
}

func (r *reorder) buffer() []byte {
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b[:0]
	}
	return nil
}
