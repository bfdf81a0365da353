package rtsptest

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// sender numbers the packets of one track and sends them, with the faults that hit packets.
type sender struct {
	to          *route
	payloadType uint8
	seq         uint16
	base        uint32 // of the RTP clock
	ssrc        uint32
	late        []byte // kept back by FaultReorder
	packets     uint32
	octets      uint32
	reported    time.Time
}

func newSender(to *route, payloadType uint8) *sender {
	c := to.session.camera
	return &sender{to: to, payloadType: payloadType, seq: uint16(c.random(1 << 16)), base: uint32(c.random(1 << 31)), ssrc: uint32(c.random(1 << 31))}
}

// send sends one packet; false when the connection is over.
func (s *sender) send(payload []byte, ts uint32, marker bool) bool {
	c := s.to.session.camera
	p := rtp.Packet{Header: rtp.Header{
		Version: 2, PayloadType: s.payloadType, SequenceNumber: s.seq, Timestamp: ts, SSRC: s.ssrc, Marker: marker && !c.holds(FaultNoMarker),
	}, Payload: payload}
	s.seq++
	raw, err := p.Marshal()
	if err != nil {
		c.log.Error("cannot build packet", "err", err)
		return false
	}
	if c.hits(FaultLoss) {
		c.lost.Add(1)
		return true
	}
	if c.hits(FaultCorrupt) {
		raw[c.random(len(raw))] ^= byte(1 + c.random(255))
	}
	if s.late == nil && c.hits(FaultReorder) {
		s.late = raw
		return true
	}
	if s.to.sendRTP(raw) != nil || c.hits(FaultDuplicate) && s.to.sendRTP(raw) != nil {
		return false
	}
	s.packets, s.octets = s.packets+1, s.octets+uint32(len(payload))
	if s.late != nil {
		if s.to.sendRTP(s.late) != nil {
			return false
		}
		s.late = nil
	}
	return true
}

// report sends a sender report once a second: the RTP time ts was at the moment at.
func (s *sender) report(at time.Time, ts uint32) bool {
	if now := time.Now(); now.Sub(s.reported) >= time.Second {
		s.reported = now
		return s.to.sendReport(rtcp.SenderReport{SSRC: s.ssrc, NTPTime: ntp(at), RTPTime: ts, PacketCount: s.packets, OctetCount: s.octets}) == nil
	}
	return true
}

// stream sends the clip, from its first key frame on, until the connection ends. It runs on a goroutine of its own.
func (s *session) stream(start time.Time) {
	c := s.camera
	payloader := c.clips[0].coding.payloader()
	out := newSender(s.pictures, 96)
	current, index := 0, 0
	c.mu.Lock()
	garbage := c.garbage
	c.mu.Unlock()
	for n := 0; ; n++ {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(c.cfg.FPS))
		if !sleep(s.ctx, time.Until(due)) {
			return
		}
		if !c.waitWhile(s.ctx, FaultStall) {
			return
		}
		if now := int(time.Since(start).Seconds() * float64(c.cfg.FPS)); now > n+c.cfg.FPS { // a stall is over: no burst
			n = now
			due = start.Add(time.Duration(n) * time.Second / time.Duration(c.cfg.FPS))
		}
		if c.holds(FaultNoVideo) || s.paused.Load() {
			continue
		}
		want := 0
		if c.holds(FaultParams) {
			want = 1
		}
		if want != current {
			current, index = want, 0
		}
		units := c.clips[current].units
		unit := units[index]
		index = (index + 1) % len(units)

		c.mu.Lock()
		ts := out.base + uint32(int64(n)*90000/int64(c.cfg.FPS)) + uint32(c.jumps*jumpSeconds*90000)
		rubbish := c.garbage > garbage
		garbage = c.garbage
		c.mu.Unlock()
		if rubbish && s.pictures.udp == nil {
			if s.send([]byte("\x00\x01garbage between two frames\xff\x24\x77")) != nil {
				return
			}
		}
		var payloads [][]byte
		for _, nal := range unit {
			payloads = append(payloads, payloader.Payload(uint16(c.cfg.MTU), append([]byte{0, 0, 0, 1}, nal...))...)
		}
		for i, payload := range payloads {
			if !out.send(payload, ts, i == len(payloads)-1) {
				return
			}
		}
		c.frames.Add(1)
		if !out.report(due, ts) {
			return
		}
	}
}

// streamSound sends the sound, as stream does with the pictures.
func (s *session) streamSound(start time.Time) {
	c := s.camera
	out := newSender(s.sound, c.sound.payloadType)
	for n := 0; ; n++ {
		length := time.Duration(c.sound.ticks) * time.Second / time.Duration(c.sound.rate)
		due := start.Add(time.Duration(n) * length)
		if !sleep(s.ctx, time.Until(due.Add(c.cfg.SoundDelay))) {
			return
		}
		if !c.waitWhile(s.ctx, FaultStall) {
			return
		}
		if now := int((time.Since(start) - c.cfg.SoundDelay) / length); now > n+int(time.Second/length) {
			n = now
			due = start.Add(time.Duration(n) * length)
		}
		if c.holds(FaultNoSound) || s.paused.Load() {
			continue
		}
		payload := c.sound.payloads[n%len(c.sound.payloads)]
		if c.holds(FaultBadSound) {
			payload = make([]byte, 50)
			for i := range payload {
				payload[i] = byte(c.random(256))
			}
		}
		c.mu.Lock()
		ts := out.base + uint32(n*c.sound.ticks) + uint32(c.jumps*jumpSeconds*c.sound.rate)
		c.mu.Unlock()
		if !out.send(payload, ts, true) || !out.report(due, ts) {
			return
		}
	}
}

// ntp is the time in NTP's 32.32 bits (RFC 3550, section 4).
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// sendReport sends an RTCP sender report.
func (r *route) sendReport(report rtcp.SenderReport) error {
	raw, err := report.Marshal()
	if err != nil {
		return err
	}
	if r.udp != nil {
		_, _ = r.udp.rtcp.WriteToUDP(raw, &net.UDPAddr{IP: r.udp.client.IP, Port: r.udp.client.Port + 1})
		return nil
	}
	frame := []byte{'$', r.channel + 1, byte(len(raw) >> 8), byte(len(raw))}
	return r.session.send(append(frame, raw...))
}

func (r *route) sendRTP(raw []byte) error {
	r.session.camera.packets.Add(1)
	if r.udp != nil {
		_, err := r.udp.rtp.WriteToUDP(raw, r.udp.client)
		return err
	}
	frame := make([]byte, 4, 4+len(raw))
	frame[0], frame[1] = '$', r.channel
	binary.BigEndian.PutUint16(frame[2:], uint16(len(raw)))
	return r.session.send(append(frame, raw...))
}

// udpPair is the camera's pair of UDP ports for one track of one client.
type udpPair struct {
	rtp, rtcp *net.UDPConn
	client    *net.UDPAddr
}

func newUDPPair(conn net.Conn, clientPort int) (*udpPair, error) {
	local, remote := conn.LocalAddr().(*net.TCPAddr), conn.RemoteAddr().(*net.TCPAddr)
	var err error
	for range 50 {
		var a, b *net.UDPConn
		if a, err = net.ListenUDP("udp", &net.UDPAddr{IP: local.IP}); err != nil {
			return nil, err
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		if b, err = net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Port: port + 1}); err == nil {
			return &udpPair{rtp: a, rtcp: b, client: &net.UDPAddr{IP: remote.IP, Port: clientPort}}, nil
		}
		_ = a.Close()
	}
	return nil, err
}

func (p *udpPair) port() int { return p.rtp.LocalAddr().(*net.UDPAddr).Port }

// listen counts the client's RTCP packets until the pair is closed.
func (p *udpPair) listen(c *Camera) {
	buf := make([]byte, 2048)
	for {
		if _, _, err := p.rtcp.ReadFromUDP(buf); err != nil {
			return
		}
		c.reports.Add(1)
	}
}

func (p *udpPair) close() {
	_ = p.rtp.Close()
	_ = p.rtcp.Close()
}
