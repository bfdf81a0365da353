package rtsp

import "github.com/pion/rtp"

// sequence follows the numbers of the packets of one stream.
type sequence struct {
	payloadType uint8
	synced      bool
	ssrc        uint32
	next        uint16
	stray       int
}

// follow takes a packet. ok is false when it does not belong here, came late or twice, or its number is damaged. damaged says that
// what came before it is not whole: lost packets are missing, or the numbering began anew.
func (s *sequence) follow(p *rtp.Packet) (lost int, damaged, ok bool) {
	if p.PayloadType != s.payloadType {
		return 0, false, false
	}
	other := s.synced && p.SSRC != s.ssrc
	if other && !s.strayed() {
		return 0, false, false
	}
	if other || !s.synced {
		s.synced, s.ssrc, s.next, s.stray = true, p.SSRC, p.SequenceNumber, 0
	}
	switch gap := int16(p.SequenceNumber - s.next); {
	case gap == 0:
	case gap > 0 && gap <= maxGapSeq:
		lost, damaged = int(gap), true
	case !s.strayed():
		return 0, false, false
	default:
		damaged = true
	}
	s.stray, s.next = 0, p.SequenceNumber+1
	return lost, damaged, true
}

// strayed counts a packet that contradicts what is known and says whether there were enough of them to believe them.
func (s *sequence) strayed() bool {
	s.stray++
	return s.stray >= resyncAfter
}
