package faultproxy

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// reservedPort is a port that stays ours while nobody listens on it: a socket that is bound and does not listen. Connections are
// refused then, as they should be, and the kernel gives the port to no outgoing connection.
type reservedPort struct {
	addr string
	hold *os.File
}

func reserve(addr string) (*reservedPort, error) {
	at, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	r := &reservedPort{hold: os.NewFile(uintptr(fd), "reserved port")}
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		_ = r.hold.Close()
		return nil, os.NewSyscallError("setsockopt", err)
	}
	sa := &syscall.SockaddrInet4{Port: at.Port}
	copy(sa.Addr[:], at.IP.To4())
	if err := syscall.Bind(fd, sa); err != nil {
		_ = r.hold.Close()
		return nil, os.NewSyscallError("bind", err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		_ = r.hold.Close()
		return nil, os.NewSyscallError("getsockname", err)
	}
	in4, ok := bound.(*syscall.SockaddrInet4)
	if !ok {
		_ = r.hold.Close()
		return nil, fmt.Errorf("%s is no address of IPv4", addr)
	}
	r.addr = (&net.TCPAddr{IP: in4.Addr[:], Port: in4.Port}).String()
	return r, nil
}

// Close gives the port free.
func (r *reservedPort) Close() error {
	if r.hold == nil {
		return nil
	}
	err := r.hold.Close()
	r.hold = nil
	return err
}
