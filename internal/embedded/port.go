package embedded

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"

	"github.com/hashicorp/go-hclog"
)

// Ports are chosen below those that systems hand to outgoing connections, so that they are free after a restart.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// listen listens on the loopback address that was used before, or, where there was none or somebody else has it now, on
// one chosen anew.
func listen(what, before string, log hclog.Logger) (net.Listener, error) {
	if before != "" {
		l, err := net.Listen("tcp", before)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("listen for the embedded %s on %s: %w", what, before, err)
		}
		log.Warn("another program has taken the port of the embedded "+what+": choosing a new one, hosts that have joined must be given the new join.json", "addr", before, "err", err)
	}
	var last error
	for range 50 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+rand.N(highestPort-lowestPort)))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return l, nil
		}
		last = err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the embedded %s: %w", what, errors.Join(err, last))
	}
	return l, nil
}
