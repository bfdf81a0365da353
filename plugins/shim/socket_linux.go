package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// socket carries packets and descriptors between host and shim.
type socket struct{ fd int }

// socketBuffer is asked for, for both directions; the kernel gives what it allows.
const socketBuffer = 1 << 20

func socketPair() (a, b socket, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return a, b, fmt.Errorf("make a socket: %w", err)
	}
	for _, fd := range fds {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer)
	}
	return socket{fds[0]}, socket{fds[1]}, nil
}

// send sends one packet, with descriptors. It blocks while the other end reads nothing and its buffer is full, unless now.
func (s socket) send(v any, fds []int, now bool) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxPacket {
		return fmt.Errorf("a message of %d bytes is too long, at most %d may be: %w", len(b), maxPacket, unix.E2BIG)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	flags := unix.MSG_NOSIGNAL
	if now {
		flags |= unix.MSG_DONTWAIT
	}
	for {
		err := unix.Sendmsg(s.fd, b, rights, nil, flags)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// errGarbled says that a packet came that is no message. The next one may be.
var errGarbled = errors.New("not a message")

// receive reads one packet into buf and decodes it. It fails with io.EOF when the other end has gone.
func (s socket) receive(buf []byte, v any) (fds []int, err error) {
	var rights [64]byte
	var n, m int
	for {
		n, m, _, _, err = unix.Recvmsg(s.fd, buf, rights[:], unix.MSG_CMSG_CLOEXEC)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.ECONNRESET) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, err
	}
	if m > 0 {
		if fds, err = parseRights(rights[:m]); err != nil {
			return nil, err
		}
	}
	if n == 0 {
		return fds, io.EOF
	}
	if err := json.Unmarshal(buf[:n], v); err != nil {
		return fds, fmt.Errorf("%w: %w", errGarbled, err)
	}
	return fds, nil
}

func parseRights(b []byte) (fds []int, err error) {
	list, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return nil, err
	}
	for i := range list {
		got, err := unix.ParseUnixRights(&list[i])
		if err != nil {
			return fds, err
		}
		fds = append(fds, got...)
	}
	return fds, nil
}

func (s socket) close() { _ = unix.Close(s.fd) }

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
