package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// ErrWatchdog says that no complete picture came within the watchdog's time.
var ErrWatchdog = errors.New("no complete picture in time")

// StatusError is a response that is not what was asked for.
type StatusError struct {
	Method string
	Code   int
	Reason string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s: the camera answered %d %.60q", strings.ToLower(e.Method), e.Code, e.Reason)
}

// session is one connection to a camera, from dialling to its end.
type session struct {
	cfg  Config
	log  hclog.Logger
	url  *url.URL // without user
	conn net.Conn
	in   *reader
	auth authorizer
	cseq atomic.Int64

	id       string
	timeout  time.Duration
	track    *track
	heard    *soundTrack // nil without sound
	pictures *stream
	sound    *stream // nil without sound
	aliveBy  string  // method of the keep-alive

	// silent says not to ask for sound; asked, that it was asked for. unheard is told why there is none.
	silent, asked bool
	unheard       func(why error)

	// write guards conn's writing side and auth once the session plays.
	write sync.Mutex
	// take guards what makes pictures and sound of packets, which come on two goroutines over UDP.
	take sync.Mutex
}

// receiver is told what a session receives, by one goroutine at a time.
type receiver struct {
	unit  func(video.Unit)
	sound func(aac.Frame)
	stats func(Stats)
}

// run connects, plays and tells r what comes. It returns why the session ended.
func (s *session) run(ctx context.Context, r receiver) error {
	deadline := time.Now().Add(s.cfg.Handshake)
	dialer := net.Dialer{Deadline: deadline}
	host := s.url.Host
	if s.url.Port() == "" {
		host = net.JoinHostPort(s.url.Hostname(), "554")
	}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return fmt.Errorf("connect to camera: %w", err)
	}
	defer func() { _ = conn.Close() }()
	s.conn, s.in = conn, newReader(conn)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = conn.SetDeadline(deadline)
	defer s.closeStreams()
	if err := s.handshake(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	_ = conn.SetDeadline(time.Time{})
	return s.play(ctx, cancel, r)
}

func (s *session) send(method, uri string, header []string) (int64, error) {
	s.write.Lock()
	defer s.write.Unlock()
	cseq := s.cseq.Add(1)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s RTSP/1.0\r\nCSeq: %d\r\nUser-Agent: skalds-rtsp-worker\r\n", method, uri, cseq)
	if s.id != "" {
		b.WriteString("Session: " + s.id + "\r\n")
	}
	if a := s.auth.header(method, uri); a != "" {
		b.WriteString("Authorization: " + a + "\r\n")
	}
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	_, err := s.conn.Write([]byte(b.String()))
	return cseq, err
}

// play receives until the session ends.
func (s *session) play(ctx context.Context, cancel context.CancelCauseFunc, r receiver) error {
	// The first picture may need the camera's next key frame.
	watchdog := time.AfterFunc(max(s.cfg.Watchdog, s.cfg.FirstPicture), func() { cancel(ErrWatchdog) })
	defer watchdog.Stop()
	stats, beside := &Stats{}, &lipsync{rate: video.ClockRate}
	if s.sound != nil {
		beside.rate = int64(s.heard.config.Rate)
		s.sound.push = newSoundReceiver(s.heard, beside, stats, func(f aac.Frame) {
			if ctx.Err() == nil {
				r.sound(f)
			}
		}, func() { s.unheard(errors.New("the camera's packets of sound make no sense")) }).push
		s.sound.time = beside.reportSound
	}
	s.pictures.push = newDepacketizer(s.track, beside, stats, func(u video.Unit) {
		if ctx.Err() != nil {
			return
		}
		watchdog.Reset(s.cfg.Watchdog)
		r.unit(u)
		r.stats(*stats)
	}).push
	s.pictures.time = beside.reportPictures
	var wg sync.WaitGroup
	defer wg.Wait()
	defer s.closeStreams()
	defer cancel(nil)
	wg.Go(func() { s.keepAlive(ctx) })
	wg.Go(func() { s.sendReports(ctx) })
	defer s.teardown()
	var err error
	if s.pictures.udp != nil {
		stop := context.AfterFunc(ctx, s.closeStreams)
		defer stop()
		wg.Go(func() { cancel(s.control()) })
		wg.Go(func() { s.pictures.udp.readRTCP(s.pictures.rtcp) })
		if s.sound != nil {
			wg.Go(func() { s.sound.udp.readRTCP(s.sound.rtcp) })
			wg.Go(func() { _ = s.sound.udp.readRTP(&s.sound.report, s.sound.rtp) }) // pictures go on without
		}
		err = s.pictures.udp.readRTP(&s.pictures.report, s.pictures.rtp)
	} else {
		err = s.interleaved()
	}
	s.take.Lock()
	r.stats(*stats)
	s.take.Unlock()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("receive: %w", err)
}

func (s *session) interleaved() error {
	for {
		m, channel, frame, err := s.in.next()
		if err != nil {
			return err
		}
		if m != nil {
			if err := s.handle(m); err != nil {
				return err
			}
			continue
		}
		from := s.pictures
		if s.sound != nil && (channel == s.sound.channel || channel == s.sound.channel+1) {
			from = s.sound
		}
		now := time.Now()
		switch channel {
		case from.channel:
			from.report.packet(frame, now)
			from.rtp(frame, now)
		case from.channel + 1:
			from.rtcp(frame, now)
		default:
			if s.asked && s.sound == nil && channel < 16 {
				continue // sound that was refused, and comes all the same
			}
			return fmt.Errorf("read frame of channel %d: %w", channel, ErrFraming)
		}
	}
}

// control reads the RTSP connection while the video comes by UDP.
func (s *session) control() error {
	for {
		m, _, _, err := s.in.next()
		if err != nil {
			return err
		}
		if m != nil {
			if err := s.handle(m); err != nil {
				return err
			}
		}
	}
}

// handle takes a message that comes while the session plays: the response to a keep-alive, or a request of the camera.
func (s *session) handle(m *message) error {
	switch {
	case m.code == 454 || m.code == 404:
		return &StatusError{"keep-alive", m.code, m.reason}
	case m.code == 401: // the number of the challenge has expired
		s.write.Lock()
		defer s.write.Unlock()
		if err := s.auth.challenge(m.header["Www-Authenticate"]); err != nil {
			return fmt.Errorf("keep-alive: %w", err)
		}
	case m.code == 0:
		s.write.Lock()
		defer s.write.Unlock()
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.cfg.Handshake))
		cseq := textproto.TrimString(m.get("Cseq"))
		code := "200 OK"
		if m.method != "OPTIONS" && m.method != "GET_PARAMETER" && m.method != "SET_PARAMETER" {
			code = "501 Not Implemented"
		}
		_, err := fmt.Fprintf(s.conn, "RTSP/1.0 %s\r\nCSeq: %s\r\n\r\n", code, cseq)
		return err
	}
	return nil
}

// keepAlive tells the camera that somebody still listens; failures show at the reading side.
func (s *session) keepAlive(ctx context.Context) {
	every(ctx, max(s.timeout/2, time.Second/2), func() {
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.cfg.Handshake))
		if _, err := s.send(s.aliveBy, s.track.aggregate, nil); err != nil {
			s.log.Debug("keep-alive not sent", "err", err)
		}
	})
}

func (s *session) sendReports(ctx context.Context) {
	every(ctx, s.cfg.ReportInterval, func() {
		for _, st := range s.streams() {
			packet := st.report.build(time.Now())
			if packet == nil {
				continue
			}
			if st.udp != nil {
				st.udp.send(packet)
				continue
			}
			s.sendFrame(st.channel+1, packet)
		}
	})
}

func (s *session) sendFrame(channel byte, packet []byte) {
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.cfg.Handshake))
	_, _ = s.conn.Write(append([]byte{'$', channel, byte(len(packet) >> 8), byte(len(packet))}, packet...))
}

// teardown says goodbye; the answer is not waited for. On a connection that is closed already it does nothing.
func (s *session) teardown() {
	_ = s.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	_, _ = s.send("TEARDOWN", s.track.aggregate, nil)
}

func every(ctx context.Context, d time.Duration, f func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f()
		}
	}
}
