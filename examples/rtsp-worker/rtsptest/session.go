package rtsptest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// session is one client's connection.
type session struct {
	camera *Camera
	conn   net.Conn
	in     *bufio.Reader
	nonce  string
	ctx    context.Context // ends with the connection

	// setup, by the goroutine of serve only
	pictures *route
	sound    *route // nil while nobody asked for it
	playing  bool
	entered  bool

	paused atomic.Bool

	// write guards conn's writing side.
	write sync.Mutex
}

func newSession(c *Camera, conn net.Conn) *session {
	return &session{camera: c, conn: conn, in: bufio.NewReaderSize(conn, 4096), nonce: fmt.Sprintf("%016x%08x", time.Now().UnixNano(), c.random(1<<30))}
}

func (s *session) close() { _ = s.conn.Close() }

func (s *session) reset() {
	if t, ok := s.conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = s.conn.Close()
}

type request struct {
	method, uri string
	header      textproto.MIMEHeader
}

// serve answers requests until the connection ends.
func (s *session) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	s.ctx = ctx
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer s.close()
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	defer func() {
		for _, r := range s.routes() {
			if r.udp != nil {
				r.udp.close()
			}
		}
		if s.entered {
			s.camera.leave()
		}
	}()
	for {
		if s.playing && s.pictures.udp != nil { // nobody else would notice that a client over UDP has gone
			_ = s.conn.SetReadDeadline(time.Now().Add(s.camera.cfg.SessionTimeout))
		}
		req, err := s.read()
		if err != nil {
			return
		}
		if !s.camera.waitWhile(ctx, FaultStall) {
			return
		}
		if req == nil { // an interleaved frame of the client: RTCP
			continue
		}
		if !s.answer(req, func() {
			start := time.Now()
			wg.Go(func() { s.stream(start) })
			if s.sound != nil {
				wg.Go(func() { s.streamSound(start) })
			}
			for _, r := range s.routes() {
				if pair := r.udp; pair != nil {
					wg.Go(func() { pair.listen(s.camera) })
				}
			}
		}) {
			return
		}
	}
}

// read returns the next request, or nil for an interleaved frame.
func (s *session) read() (*request, error) {
	first, err := s.in.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] == '$' {
		var head [4]byte
		if _, err := io.ReadFull(s.in, head[:]); err != nil {
			return nil, err
		}
		s.camera.reports.Add(1)
		_, err := s.in.Discard(int(head[2])<<8 | int(head[3]))
		return nil, err
	}
	text := textproto.NewReader(s.in)
	line, err := text.ReadLine()
	if err != nil {
		return nil, err
	}
	parts := strings.Fields(line)
	if len(parts) != 3 {
		return nil, fmt.Errorf("read request: %q", line)
	}
	header, err := text.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(header.Get("Content-Length"))
	_, err = s.in.Discard(n)
	return &request{method: parts[0], uri: parts[1], header: header}, err
}

// answer returns false when the connection shall end.
func (s *session) answer(req *request, play func()) bool {
	c := s.camera
	if d := c.slowness(); d > 0 && !sleep(s.ctx, d) {
		return false
	}
	if req.method != "OPTIONS" && !s.allowed(req) {
		return s.reply(req, 401, "Unauthorized", s.challenge(), "") == nil
	}
	switch req.method {
	case "OPTIONS":
		return s.reply(req, 200, "OK", []string{"Public: OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER"}, "") == nil
	case "GET_PARAMETER":
		return s.reply(req, 200, "OK", []string{"Session: " + s.nonce[:8]}, "") == nil
	case "DESCRIBE":
		if c.holds(FaultNotFound) || !strings.HasSuffix(strings.TrimSuffix(req.uri, "/"), c.cfg.Path) {
			return s.reply(req, 404, "Not Found", nil, "") == nil
		}
		base := strings.TrimSuffix(req.uri, "/") + "/"
		return s.reply(req, 200, "OK", []string{"Content-Base: " + base, "Content-Type: application/sdp"}, c.sdp()) == nil
	case "SETUP":
		if !s.entered && !c.enter() {
			return s.reply(req, 453, "Not Enough Bandwidth", nil, "") == nil
		}
		s.entered = true
		to := &s.pictures
		if strings.HasSuffix(req.uri, controlSound) {
			if !c.waitWhile(s.ctx, FaultSoundHang) {
				return false
			}
			if to = &s.sound; c.sound == nil {
				return s.reply(req, 404, "Not Found", nil, "") == nil
			}
		}
		transport, err := s.setup(to, req.header.Get("Transport"))
		if err != nil || to == &s.sound && c.holds(FaultSoundRefuse) {
			return s.reply(req, 461, "Unsupported Transport", nil, "") == nil
		}
		timeout := max(1, int(c.cfg.SessionTimeout/time.Second))
		return s.reply(req, 200, "OK", []string{"Transport: " + transport, fmt.Sprintf("Session: %s;timeout=%d", s.nonce[:8], timeout)}, "") == nil
	case "PLAY":
		s.paused.Store(false)
		if s.pictures == nil {
			return s.reply(req, 455, "Method Not Valid in This State", nil, "") == nil
		}
		if s.playing {
			return s.reply(req, 200, "OK", nil, "") == nil
		}
		s.playing = true
		c.played.Add(1)
		if err := s.reply(req, 200, "OK", []string{"Session: " + s.nonce[:8], "Range: npt=0-"}, ""); err != nil {
			return false
		}
		play()
		return true
	case "PAUSE":
		s.paused.Store(true)
		return s.reply(req, 200, "OK", []string{"Session: " + s.nonce[:8]}, "") == nil
	case "TEARDOWN":
		_ = s.reply(req, 200, "OK", nil, "")
		return false
	}
	return s.reply(req, 501, "Not Implemented", nil, "") == nil
}

func (s *session) reply(req *request, code int, text string, header []string, body string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "RTSP/1.0 %d %s\r\nCSeq: %s\r\n", code, text, req.header.Get("Cseq"))
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	return s.send([]byte(b.String()))
}

func (s *session) send(p []byte) error {
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if s.camera.slowness() == 0 {
		_, err := s.conn.Write(p)
		return err
	}
	for piece := range slices.Chunk(p, 100) {
		if _, err := s.conn.Write(piece); err != nil {
			return err
		}
		if !sleep(s.ctx, time.Millisecond) {
			return s.ctx.Err()
		}
	}
	return nil
}

// route is the way that the packets of one track take to a client.
type route struct {
	session *session
	channel byte     // of RTP, in interleaved frames
	udp     *udpPair // nil over TCP
}

func (s *session) routes() (all []*route) {
	for _, r := range []*route{s.pictures, s.sound} {
		if r != nil {
			all = append(all, r)
		}
	}
	return all
}

func (s *session) setup(to **route, transport string) (string, error) {
	var tcp bool
	channel, clientRTP := 0, 0
	for part := range strings.SplitSeq(transport, ";") {
		key, value, _ := strings.Cut(part, "=")
		first, _, _ := strings.Cut(value, "-")
		switch key {
		case "RTP/AVP/TCP":
			tcp = true
		case "interleaved":
			channel, _ = strconv.Atoi(first)
		case "client_port":
			clientRTP, _ = strconv.Atoi(first)
		}
	}
	if *to != nil || s.playing {
		return "", fmt.Errorf("set up a second time")
	}
	if tcp {
		*to = &route{session: s, channel: byte(channel)}
		return fmt.Sprintf("RTP/AVP/TCP;unicast;interleaved=%d-%d", channel, channel+1), nil
	}
	if clientRTP <= 0 || clientRTP > 65534 {
		return "", fmt.Errorf("read transport %q", transport)
	}
	pair, err := newUDPPair(s.conn, clientRTP)
	if err != nil {
		return "", err
	}
	*to = &route{session: s, udp: pair}
	return fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d;server_port=%d-%d", clientRTP, clientRTP+1, pair.port(), pair.port()+1), nil
}

// How the tracks are called.
const (
	controlPictures = "trackID=0"
	controlSound    = "trackID=1"
)

// sdp describes the stream.
func (c *Camera) sdp() string {
	cl := c.clips[0]
	if c.holds(FaultParams) {
		cl = c.clips[1]
	}
	text := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n" +
		"m=video 0 RTP/AVP 96\r\na=rtpmap:96 " + cl.coding.rtpmap + "\r\na=fmtp:96 " + cl.coding.fmtp(cl.sets) + "\r\n" +
		"a=control:" + controlPictures + "\r\n"
	if c.sound != nil {
		text += c.sound.media + "a=control:" + controlSound + "\r\n"
	}
	return text
}
