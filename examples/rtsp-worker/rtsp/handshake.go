package rtsp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func (s *session) handshake() error {
	s.timeout = time.Minute
	s.report.own = rand.Uint32()
	base := s.url.String()
	m, err := s.request("OPTIONS", base, nil)
	if err != nil {
		return err
	}
	s.aliveBy = "OPTIONS"
	for _, h := range m.header["Public"] {
		if strings.Contains(h, "GET_PARAMETER") {
			s.aliveBy = "GET_PARAMETER"
		}
	}
	if m, err = s.request("DESCRIBE", base, []string{"Accept: application/sdp"}); err != nil {
		return err
	}
	for _, key := range []string{"Content-Base", "Content-Location"} {
		if u, err := url.Parse(m.get(key)); err == nil && u.IsAbs() {
			u.User = nil
			base = u.String()
			break
		}
	}
	if s.track, err = findTrack(m.body, base); err != nil {
		return err
	}
	want := "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
	if s.cfg.Transport == UDP {
		if s.udp, err = newUDPReceiver(s.conn); err != nil {
			return err
		}
		want = fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d", s.udp.port(), s.udp.port()+1)
	}
	if m, err = s.request("SETUP", s.track.control, []string{want}); err != nil {
		return err
	}
	if err := s.readSetup(m); err != nil {
		return err
	}
	_, err = s.request("PLAY", s.track.aggregate, []string{"Range: npt=0.000-"})
	return err
}

func (s *session) readSetup(m *message) error {
	id, rest, _ := strings.Cut(m.get("Session"), ";")
	s.id = strings.TrimSpace(id)
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
	firstPort := func(key string) int {
		first, _, _ := strings.Cut(params[key], "-")
		n, _ := strconv.Atoi(first)
		return n
	}
	if s.udp != nil {
		if _, tcp := params["rtp/avp/tcp"]; tcp {
			return errors.New("setup: the camera insists on TCP: use transport tcp")
		}
		s.udp.punch(firstPort("server_port"))
		return nil
	}
	if _, tcp := params["rtp/avp/tcp"]; !tcp && params["interleaved"] == "" {
		return errors.New("setup: the camera insists on UDP: use transport udp")
	}
	s.channel = byte(firstPort("interleaved"))
	return nil
}

// request sends a request and waits for its response, answering one challenge on the way. It is used during the handshake only.
func (s *session) request(method, uri string, header []string) (*message, error) {
	for try := 0; ; try++ {
		answering := s.auth.scheme != ""
		cseq, err := s.send(method, uri, header)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.ToLower(method), err)
		}
		m, err := s.response(cseq)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.ToLower(method), err)
		}
		switch {
		case m.code == 401:
			if s.auth.user == "" && s.auth.password == "" {
				return nil, fmt.Errorf("%s: the camera asks for user and password, the url has none: %w", strings.ToLower(method), ErrAuth)
			}
			stale := false
			for _, h := range m.header["Www-Authenticate"] {
				stale = stale || strings.Contains(strings.ToLower(strings.ReplaceAll(h, `"`, "")), "stale=true")
			}
			if try > 1 || answering && !stale && try > 0 {
				return nil, fmt.Errorf("%s: %w", strings.ToLower(method), ErrAuth)
			}
			if err := s.auth.challenge(m.header["Www-Authenticate"]); err != nil {
				return nil, fmt.Errorf("%s: %w: %w", strings.ToLower(method), err, ErrAuth)
			}
		case m.code == 403:
			return nil, fmt.Errorf("%s: %w: %w", strings.ToLower(method), &StatusError{method, m.code, m.reason}, ErrAuth)
		case m.code < 200 || m.code > 299:
			return nil, &StatusError{method, m.code, m.reason}
		default:
			return m, nil
		}
	}
}

// response waits for the response with that number; frames and requests of the camera that come first are passed over.
func (s *session) response(cseq int64) (*message, error) {
	for {
		m, _, _, err := s.in.next()
		if err != nil {
			return nil, err
		}
		if m == nil || m.code == 0 {
			continue
		}
		if n, err := strconv.ParseInt(m.get("Cseq"), 10, 64); err == nil && n != cseq {
			continue
		}
		return m, nil
	}
}
