package testservices

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePorts is the first of n ports of 127.0.0.1 in a row on which nobody listens, below those that the system gives to clients.
// The ports that are 10,000 higher are free, too: members of a Redis Cluster take them.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	for range 100 {
		first := 20_000 + rand.IntN(10_000)
		free := true
		for p := first; p < first+n && free; p++ {
			free = listens(p) && listens(p+10_000)
		}
		if free {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

// listens reports whether we could listen on a port.
func listens(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	_ = l.Close() // it was only tried
	return true
}
