package rtsptest

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// stream sends the clip, from its first key frame on, until the connection ends. It runs on a goroutine of its own.
func (s *session) stream() {
	c := s.camera
	payloader := c.clips[0].coding.payloader()
	seq := uint16(c.random(1 << 16))
	base := uint32(c.random(1 << 31))
	ssrc := uint32(c.random(1 << 31))
	current, index := 0, 0
	c.mu.Lock()
	garbage := c.garbage
	c.mu.Unlock()
	start := time.Now()
	var late []byte
	var reported time.Time
	var packets, octets uint32
	for n := 0; ; n++ {
		if !sleep(s.ctx, time.Until(start.Add(time.Duration(n)*time.Second/time.Duration(c.cfg.FPS)))) {
			return
		}
		if !c.waitWhile(s.ctx, FaultStall) {
			return
		}
		if now := int(time.Since(start).Seconds() * float64(c.cfg.FPS)); now > n+c.cfg.FPS { // a stall is over: no burst
			n = now
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
		ts := base + uint32(int64(n)*90000/int64(c.cfg.FPS)) + c.jump
		rubbish := c.garbage > garbage
		garbage = c.garbage
		c.mu.Unlock()
		if rubbish && s.udp == nil {
			if s.send([]byte("\x00\x01garbage between two frames\xff\x24\x77")) != nil {
				return
			}
		}
		var payloads [][]byte
		for _, nal := range unit {
			payloads = append(payloads, payloader.Payload(uint16(c.cfg.MTU), append([]byte{0, 0, 0, 1}, nal...))...)
		}
		for i, payload := range payloads {
			p := rtp.Packet{Header: rtp.Header{
				Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: ts, SSRC: ssrc, Marker: i == len(payloads)-1 && !c.holds(FaultNoMarker),
			}, Payload: payload}
			seq++
			raw, err := p.Marshal()
			if err != nil {
				c.log.Error("cannot build packet", "err", err)
				return
			}
			if c.hits(FaultLoss) {
				c.lost.Add(1)
				continue
			}
			if c.hits(FaultCorrupt) {
				raw[c.random(len(raw))] ^= byte(1 + c.random(255))
			}
			if late == nil && c.hits(FaultReorder) {
				late = raw
				continue
			}
			if s.sendRTP(raw) != nil || c.hits(FaultDuplicate) && s.sendRTP(raw) != nil {
				return
			}
			packets, octets = packets+1, octets+uint32(len(payload))
			if late != nil {
				if s.sendRTP(late) != nil {
					return
				}
				late = nil
			}
		}
		c.frames.Add(1)
		if now := time.Now(); now.Sub(reported) >= time.Second {
			reported = now
			if s.sendReport(rtcp.SenderReport{SSRC: ssrc, NTPTime: ntp(now), RTPTime: ts, PacketCount: packets, OctetCount: octets}) != nil {
				return
			}
		}
	}
}

// ntp is the time in NTP's 32.32 bits (RFC 3550, section 4).
func ntp(t time.Time) uint64 {
	const since1900 = 2208988800
	return uint64(t.Unix()+since1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// sendReport sends an RTCP sender report.
func (s *session) sendReport(r rtcp.SenderReport) error {
	raw, err := r.Marshal()
	if err != nil {
		return err
	}
	if s.udp != nil {
		_, _ = s.udp.rtcp.WriteToUDP(raw, &net.UDPAddr{IP: s.udp.client.IP, Port: s.udp.client.Port + 1})
		return nil
	}
	frame := []byte{'$', s.channel + 1, byte(len(raw) >> 8), byte(len(raw))}
	return s.send(append(frame, raw...))
}

func (s *session) sendRTP(raw []byte) error {
	s.camera.packets.Add(1)
	if s.udp != nil {
		_, err := s.udp.rtp.WriteToUDP(raw, s.udp.client)
		return err
	}
	frame := make([]byte, 4, 4+len(raw))
	frame[0], frame[1] = '$', s.channel
	binary.BigEndian.PutUint16(frame[2:], uint16(len(raw)))
	return s.send(append(frame, raw...))
}

// udpPair is the camera's pair of UDP ports for one client.
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
