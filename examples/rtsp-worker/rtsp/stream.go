package rtsp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// stream is the way that the packets of one track take.
type stream struct {
	channel byte         // of RTP, in the RTSP connection; that of RTCP is the next
	udp     *udpReceiver // nil over TCP
	report  report

	take *sync.Mutex // guards the two
	push func(raw []byte, now time.Time)
	time func(senderTime)
}

func (st *stream) rtp(raw []byte, now time.Time) {
	st.take.Lock()
	defer st.take.Unlock()
	st.push(raw, now)
}

func (st *stream) rtcp(raw []byte, now time.Time) {
	t, ok := st.report.sender(raw, now)
	if !ok {
		return
	}
	st.take.Lock()
	defer st.take.Unlock()
	st.time(t)
}

func (s *session) streams() []*stream {
	if s.sound == nil {
		return []*stream{s.pictures}
	}
	return []*stream{s.pictures, s.sound}
}

// closeStreams may be called more than once.
func (s *session) closeStreams() {
	for _, st := range []*stream{s.pictures, s.sound} {
		if st != nil && st.udp != nil {
			st.udp.close()
		}
	}
}

// errTransport says that a camera wants to send by another way.
type errTransport string

func (e errTransport) Error() string { return "setup: " + string(e) }

// setup asks for a track; channel is the one to propose.
func (s *session) setup(control string, channel byte, rate int) (*stream, error) {
	st := &stream{channel: channel, report: report{rate: int64(rate), own: rand.Uint32()}, take: &s.take}
	want := fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d", channel, channel+1)
	if s.cfg.Transport == UDP {
		var err error
		if st.udp, err = newUDPReceiver(s.conn); err != nil {
			return nil, err
		}
		want = fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d", st.udp.port(), st.udp.port()+1)
	}
	m, err := s.request("SETUP", control, []string{want})
	if err == nil {
		err = s.readSetup(st, m)
	}
	if err != nil && st.udp != nil {
		st.udp.close()
	}
	return st, err
}

func (s *session) readSetup(st *stream, m *message) error {
	id, rest, _ := strings.Cut(m.get("Session"), ";")
	if id = strings.TrimSpace(id); id != "" {
		s.id = id
	}
	if value, ok := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(rest, " ", "")), "timeout="); ok {
		value, _, _ = strings.Cut(value, ";")
		if n, err := strconv.Atoi(value); err == nil && n > 0 && n < 86400 {
			s.timeout = time.Duration(n) * time.Second
		}
	}
	params := map[string]string{}
	for part := range strings.SplitSeq(m.get("Transport"), ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		params[strings.ToLower(key)] = value
	}
	first := func(key string) (int, bool) {
		value, _, _ := strings.Cut(params[key], "-")
		n, err := strconv.Atoi(value)
		return n, err == nil
	}
	if st.udp != nil {
		if _, tcp := params["rtp/avp/tcp"]; tcp {
			return errTransport("the camera insists on TCP: use transport tcp")
		}
		port, _ := first("server_port")
		st.udp.punch(port)
		return nil
	}
	if _, tcp := params["rtp/avp/tcp"]; !tcp && params["interleaved"] == "" {
		return errTransport("the camera insists on UDP: use transport udp")
	}
	if n, ok := first("interleaved"); ok {
		st.channel = byte(n)
	}
	return nil
}

// setupSound asks for the sound, if there is any that can be read. Without it, the session goes on: only a connection that broke is an
// error.
func (s *session) setupSound(d *description) error {
	if s.cfg.Sound == SoundOff {
		return nil
	}
	t, refused := d.sound()
	switch {
	case t == nil && len(refused) == 0:
		return nil
	case t == nil:
		s.unheard(fmt.Errorf("sound offered: %s: only AAC (MPEG4-GENERIC, mode AAC-hbr) can be recorded", strings.Join(refused, ", ")))
		return nil
	case s.silent:
		s.unheard(errors.New("no picture came when sound was asked for, too"))
		return nil
	}
	s.asked = true
	st, err := s.setup(t.control, s.pictures.channel+2, t.config.Rate)
	var status *StatusError
	var way errTransport
	switch {
	case errors.As(err, &status), errors.As(err, &way), errors.Is(err, ErrAuth):
		s.unheard(err)
		return nil
	case err != nil:
		return fmt.Errorf("ask for sound: %w", err)
	case st.udp == nil && st.channel-s.pictures.channel+1 < 3: // the pairs overlap
		s.unheard(fmt.Errorf("the camera sends sound on channel %d and video on %d", st.channel, s.pictures.channel))
		return nil
	}
	s.heard, s.sound = t, st
	return nil
}
