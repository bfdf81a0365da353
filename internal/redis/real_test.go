package redis_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds/internal/redis"
)

// real is a Redis or Valkey of the test's own.
type real struct {
	t    testing.TB
	dir  string // of the scripts
	env  []string
	run  string // folder of data and log
	port int
	said map[string]string // what the script has printed
}

// startReal needs the folder of start-services.sh in SKALDS_TEST_SERVICES, else it skips the test. env is added to the environment of
// the script.
func startReal(t testing.TB, env ...string) *real {
	t.Helper()
	dir := os.Getenv("SKALDS_TEST_SERVICES")
	if dir == "" {
		t.Skip("SKALDS_TEST_SERVICES is not set: it names the folder of start-services.sh, to start a Redis for this test")
	}
	r := &real{t: t, dir: dir, run: filepath.Join(t.TempDir(), "services"), port: freePorts(t, 2)}
	r.env = append(append(os.Environ(), "SERVICES_RUN="+r.run, "REDIS_PORT="+strconv.Itoa(r.port)), env...)
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(r.run, "redis.pid")); err == nil {
			r.signal(syscall.SIGCONT) // what stands still does not end
		}
		r.script("stop-services.sh")
	})
	r.start()
	return r
}

// freePorts is the first of n ports in a row, below those that the system gives to clients. A member of a cluster also takes the
// port that is 10,000 higher.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	for range 100 {
		first := 20_000 + rand.IntN(10_000)
		free := true
		for p := first; p < first+n && free; p++ {
			for _, port := range []int{p, p + 10_000} {
				l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					free = false
					continue
				}
				_ = l.Close() // it was only tried
			}
		}
		if free {
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

func (r *real) script(name string) string {
	r.t.Helper()
	c := exec.Command(filepath.Join(r.dir, name), "redis")
	c.Env = r.env
	var out, faults strings.Builder
	c.Stdout, c.Stderr = &out, &faults
	if err := c.Run(); err != nil {
		if strings.Contains(faults.String(), "no mirror of Debian") {
			r.t.Skipf("this machine gets no Redis 8: %s", faults.String())
		}
		r.t.Fatalf("%s: %v\n%s", name, err, faults.String())
	}
	return out.String()
}

func (r *real) start() {
	r.t.Helper()
	r.said = map[string]string{}
	for line := range strings.Lines(r.script("start-services.sh")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		r.said[name] = value
	}
}

func (r *real) config() redis.Config { return redis.Config{Addr: r.said["REDIS_ADDR"]} }

// signal reaches the server's process.
func (r *real) signal(s syscall.Signal) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.run, "redis.pid"))
	if err != nil {
		r.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(b))[0])
	if err != nil {
		r.t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		r.t.Fatal(err)
	}
}
