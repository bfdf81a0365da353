package redis_test

import (
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testservices"
)

// real is a Redis or Valkey of the test's own.
type real struct {
	*testservices.Services
	port int
}

// startReal starts one, where this machine can. env is added to the environment of the script that does it.
func startReal(t testing.TB, env ...string) *real {
	t.Helper()
	return startRealIn(t, filepath.Join(t.TempDir(), "services"), env...)
}

// startRealIn is startReal with a folder that may hold certificates and a password already.
func startRealIn(t testing.TB, folder string, env ...string) *real {
	t.Helper()
	port := testservices.FreePorts(t, 2)
	return &real{testservices.StartIn(t, folder, []string{"redis"}, append([]string{"REDIS_PORT=" + strconv.Itoa(port)}, env...)...), port}
}

func (r *real) config() redis.Config { return redis.Config{Addr: r.Said("REDIS_ADDR")} }

// signal reaches the server's process.
func (r *real) signal(s syscall.Signal) { r.Signal("redis", s) }
