package rtsp

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

func (s *session) handshake() error {
	s.timeout = time.Minute
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
	d, err := readDescription(m.body, base)
	if err != nil {
		return err
	}
	if s.track, err = d.video(); err != nil {
		return err
	}
	if s.pictures, err = s.setup(s.track.control, 0, video.ClockRate); err != nil {
		return err
	}
	if err := s.setupSound(d); err != nil {
		return err
	}
	_, err = s.request("PLAY", s.track.aggregate, []string{"Range: npt=0.000-"})
	return err
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
