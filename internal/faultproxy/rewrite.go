package faultproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// rewriter makes of a service's end of a connection what reads its answers, changed.
type rewriter func(from io.Reader) func() ([]byte, error)

// largestFrame is what a Kafka broker answers at most.
const largestFrame = 128 << 20

// rewritePort makes the port of one address that of another in the answers of a Kafka broker. An answer is its size in four bytes
// and a body; in all versions of all answers that name a broker, the port in four bytes follows the text of the host. So nothing
// else need be understood, and no size changes.
func rewritePort(from, to string) (rewriter, error) {
	host, before, err := address(from)
	if err != nil {
		return nil, err
	}
	same, after, err := address(to)
	if err != nil {
		return nil, err
	}
	if host != same {
		return nil, fmt.Errorf("the broker is reached as %s, the proxy as %s: use the same host for both", host, same)
	}
	old, changed := append([]byte(host), before...), append([]byte(host), after...)
	return func(from io.Reader) func() ([]byte, error) {
		return func() ([]byte, error) {
			size := make([]byte, 4)
			if _, err := io.ReadFull(from, size); err != nil {
				if errors.Is(err, io.ErrUnexpectedEOF) {
					err = io.EOF
				}
				return nil, err
			}
			n := binary.BigEndian.Uint32(size)
			if n > largestFrame {
				return nil, fmt.Errorf("an answer of %d bytes is none of Kafka", n)
			}
			frame := append(size, make([]byte, n)...)
			if _, err := io.ReadFull(from, frame[4:]); err != nil {
				return nil, err
			}
			return bytes.ReplaceAll(frame, old, changed), nil
		}
	}, nil
}

// address takes an address apart, with the port as Kafka writes it.
func address(addr string) (host string, port []byte, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", nil, fmt.Errorf("%q is no port: %w", text, err)
	}
	return host, binary.BigEndian.AppendUint32(nil, uint32(n)), nil
}
