package rtsp

import (
	"fmt"
	"net"
	"time"
)

// udpReceiver is our pair of ports for one stream.
type udpReceiver struct {
	rtp, rtcp *net.UDPConn
	camera    net.IP
	cameraTo  *net.UDPAddr // the camera's RTCP port; nil if it named none
}

// reorderDepth is how many packets wait for one that is missing.
const reorderDepth = 8

// newUDPReceiver opens an even port and the next one, on the address that the camera sees.
func newUDPReceiver(conn net.Conn) (*udpReceiver, error) {
	local, ok1 := conn.LocalAddr().(*net.TCPAddr)
	remote, ok2 := conn.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("open udp ports: connection is not TCP")
	}
	var last error
	for range 100 {
		a, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Zone: local.Zone})
		if err != nil {
			return nil, fmt.Errorf("open udp ports: %w", err)
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		if port%2 == 0 {
			b, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Zone: local.Zone, Port: port + 1})
			if err == nil {
				_ = a.SetReadBuffer(1 << 20) // as much as the system allows
				return &udpReceiver{rtp: a, rtcp: b, camera: remote.IP}, nil
			}
			last = err
		}
		_ = a.Close()
	}
	return nil, fmt.Errorf("open two neighbouring udp ports: %w", last)
}

func (u *udpReceiver) port() int { return u.rtp.LocalAddr().(*net.UDPAddr).Port }

// punch sends an empty packet from both ports, so that firewalls and NATs on the way let the answers through.
func (u *udpReceiver) punch(serverPort int) {
	if serverPort <= 0 || serverPort > 65534 {
		return
	}
	u.cameraTo = &net.UDPAddr{IP: u.camera, Port: serverPort + 1}
	_, _ = u.rtp.WriteToUDP([]byte{0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, &net.UDPAddr{IP: u.camera, Port: serverPort})
	u.send([]byte{0x80, 0xc9, 0, 1, 0, 0, 0, 0})
}

// send sends an RTCP packet.
func (u *udpReceiver) send(packet []byte) {
	if u.cameraTo != nil {
		_, _ = u.rtcp.WriteToUDP(packet, u.cameraTo)
	}
}

func (u *udpReceiver) readRTP(r *report, push func([]byte, time.Time)) error {
	buf := make([]byte, 65536)
	order := reorder{depth: reorderDepth}
	for {
		n, from, err := u.rtp.ReadFromUDP(buf)
		if err != nil {
			return err
		}
		if !from.IP.Equal(u.camera) {
			continue
		}
		now := time.Now()
		r.packet(buf[:n], now)
		order.push(buf[:n], func(raw []byte) { push(raw, now) })
	}
}

func (u *udpReceiver) readRTCP(push func([]byte, time.Time)) {
	buf := make([]byte, 65536)
	for {
		n, from, err := u.rtcp.ReadFromUDP(buf)
		if err != nil {
			return
		}
		if from.IP.Equal(u.camera) {
			push(buf[:n], time.Now())
		}
	}
}

// close may be called more than once.
func (u *udpReceiver) close() {
	_ = u.rtp.Close()
	_ = u.rtcp.Close()
}
