//go:build !linux

package faultproxy

import "net"

// reservedPort is a port that was free a moment ago. Where nobody listens on it, another program may take it.
type reservedPort struct{ addr string }

func reserve(addr string) (*reservedPort, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &reservedPort{addr: l.Addr().String()}, l.Close()
}

// Close has nothing to do.
func (r *reservedPort) Close() error { return nil }
