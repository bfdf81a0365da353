package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

// listen takes the address of REST and page before anything else is started.
func listen(s conf.Settings) (net.Listener, error) {
	host, addr := s.ControllerHost, s.Listen()
	if s.Token == "" && !isLoopback(host) {
		return nil, wrongSettings(fmt.Errorf("refusing to listen on %s without a token, because everybody who reaches it could run tasks: set SKALDS_TOKEN, or listen on 127.0.0.1", addr))
	}
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &skalds.Error{Code: skalds.CodeConflict, Message: fmt.Sprintf("%s is in use by another program: stop it, or name another address with --listen", addr)}
	}
	if err != nil {
		return nil, wrongSettings(fmt.Errorf("cannot listen on %s: %w: name another address with --listen", addr, rootCause(err)))
	}
	return l, nil
}

// rootCause is the system's word alone: the sentence around it names the rest.
func rootCause(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

// serverURL is how hosts reach the listener: as the settings say, else under its address. One that listens on all addresses is
// announced with the first of them that others can reach; hosts of this machine alone need nothing but loopback.
func serverURL(s conf.Settings, a net.Addr, cluster bool) string {
	if s.Advertise != "" {
		return strings.TrimSuffix(s.Advertise, "/")
	}
	tcp, ok := a.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return "http://" + a.String()
	}
	host := "127.0.0.1"
	if cluster {
		host = reachable(host)
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// reachable is the first address of this machine that is not loopback.
func reachable(otherwise string) string {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return otherwise
	}
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return otherwise
}
