package rtsp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strconv"
	"strings"
)

// ErrFraming says that bytes on the connection are neither RTSP nor an interleaved frame; only a new connection helps.
var ErrFraming = errors.New("bytes on the connection make no sense")

const (
	maxLine    = 8 << 10
	maxHeaders = 100
	maxBody    = 256 << 10
)

// message is an RTSP response, or a request that the camera sends to us.
type message struct {
	// code is 0 for a request.
	code   int
	reason string
	method string
	header map[string][]string
	body   []byte
}

// get returns the first value of a header.
func (m *message) get(key string) string {
	if v := m.header[textproto.CanonicalMIMEHeaderKey(key)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// reader cuts a connection into messages and interleaved frames.
type reader struct {
	in    *bufio.Reader
	frame []byte
}

func newReader(r io.Reader) *reader { return &reader{in: bufio.NewReaderSize(r, 16<<10)} }

// next returns either a message or an interleaved frame; the frame's bytes are valid until the next call.
func (r *reader) next() (msg *message, channel byte, frame []byte, err error) {
	for {
		first, err := r.in.Peek(1)
		if err != nil {
			return nil, 0, nil, err
		}
		switch b := first[0]; {
		case b == '$':
			channel, frame, err := r.interleaved()
			return nil, channel, frame, err
		case b == '\r' || b == '\n': // some cameras send empty lines between messages
			_, _ = r.in.Discard(1)
		case b >= 'A' && b <= 'Z':
			msg, err := r.message()
			return msg, 0, nil, err
		default:
			return nil, 0, nil, fmt.Errorf("read message beginning with 0x%02x: %w", b, ErrFraming)
		}
	}
}

func (r *reader) interleaved() (byte, []byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint16(head[2:]))
	if cap(r.frame) < n {
		r.frame = make([]byte, max(n, 2048))
	}
	r.frame = r.frame[:n]
	_, err := io.ReadFull(r.in, r.frame)
	return head[1], r.frame, err
}

func (r *reader) line() (string, error) {
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		if line = append(line, part...); len(line) > maxLine {
			return "", fmt.Errorf("read line of more than %d bytes: %w", maxLine, ErrFraming)
		}
		if err == nil {
			return strings.TrimRight(string(line), "\r\n"), nil
		}
	}
}

func (r *reader) message() (*message, error) {
	start, err := r.line()
	if err != nil {
		return nil, err
	}
	m := &message{header: map[string][]string{}}
	if rest, ok := strings.CutPrefix(start, "RTSP/"); ok {
		version, rest, _ := strings.Cut(rest, " ")
		code, reason, _ := strings.Cut(rest, " ")
		if m.code, err = strconv.Atoi(code); err != nil || m.code < 100 || m.code > 999 || version == "" {
			return nil, fmt.Errorf("read status line: %w", ErrFraming)
		}
		m.reason = reason
	} else {
		method, rest, ok := strings.Cut(start, " ")
		if !ok || !strings.Contains(rest, "RTSP/") {
			return nil, fmt.Errorf("read request line: %w", ErrFraming)
		}
		m.method = method
	}
	for n := 0; ; n++ {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		if line == "" {
			break
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || n >= maxHeaders {
			return nil, fmt.Errorf("read headers: %w", ErrFraming)
		}
		key = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(key))
		m.header[key] = append(m.header[key], strings.TrimSpace(value))
	}
	if text := m.get("Content-Length"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxBody {
			return nil, fmt.Errorf("read body of %.20q bytes: %w", text, ErrFraming)
		}
		m.body = make([]byte, n)
		if _, err := io.ReadFull(r.in, m.body); err != nil {
			return nil, err
		}
	}
	return m, nil
}
