package kafka_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/testlog"
)

// broker is a bus that can be stopped, emptied and started again.
type broker interface {
	start()
	stop()
	empty() // while it is stopped
	config() kafka.Config
}

// onEach runs a test on the embedded bus, and on a real Kafka where there are scripts to start one.
func onEach(t *testing.T, run func(t *testing.T, b broker)) {
	t.Run("embedded", func(t *testing.T) { run(t, startServer(t)) })
	t.Run("real", func(t *testing.T) { run(t, startReal(t)) })
}

// server is an embedded bus that can be stopped and started again.
type server struct {
	t    testing.TB
	dir  string
	s    *embedded.Servers
	join embedded.Join
}

func startServer(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir()}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *server) start() {
	s.t.Helper()
	var err error
	if s.s, err = embedded.Start(s.t.Context(), embedded.Config{DataDir: s.dir, Log: testlog.New(s.t)}); err != nil {
		s.t.Fatal(err)
	}
	if s.join.RedisAddr != "" && !slices.Equal(s.join.KafkaBrokers, s.s.Join().KafkaBrokers) {
		s.t.Fatalf("the bus has moved from %v to %v", s.join.KafkaBrokers, s.s.Join().KafkaBrokers)
	}
	s.join = s.s.Join()
}

func (s *server) stop() {
	if s.s != nil {
		if err := s.s.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
		s.s = nil
	}
}

func (s *server) empty() {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, "bus")); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) config() kafka.Config {
	return kafka.Config{Brokers: s.join.KafkaBrokers, User: s.join.KafkaUser, Password: s.join.KafkaPassword}
}

// real is an Apache Kafka of the test's own.
type real struct {
	t    testing.TB
	dir  string // of the scripts
	env  []string
	run  string            // folder of data and log
	said map[string]string // what the script has printed
}

// startReal needs the folder of start-services.sh in SKALDS_TEST_SERVICES, else it skips the test.
func startReal(t testing.TB) *real {
	t.Helper()
	return startBrokers(t, 1)
}

// startBrokers is startReal with several brokers, up to nine.
func startBrokers(t testing.TB, n int) *real {
	t.Helper()
	dir := os.Getenv("SKALDS_TEST_SERVICES")
	if dir == "" {
		t.Skip("SKALDS_TEST_SERVICES is not set: it names the folder of start-services.sh, to start a Kafka for this test")
	}
	r := &real{t: t, dir: dir, run: filepath.Join(t.TempDir(), "services")}
	r.env = append(os.Environ(), "SERVICES_RUN="+r.run, "KAFKA_PORT="+strconv.Itoa(freePorts(t, 10*n)), "KAFKA_NODES="+strconv.Itoa(n), "SERVICES_SECURE=kafka")
	t.Cleanup(func() {
		for _, name := range r.names(n) {
			if _, err := os.Stat(filepath.Join(r.run, name+".pid")); err == nil {
				_ = syscall.Kill(r.pid(name), syscall.SIGCONT) // what stands still does not end
			}
		}
		r.script("stop-services.sh", "kafka")
	})
	r.start()
	return r
}

// freePorts is the first of n ports in a row, below those that the system gives to clients.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	for range 100 {
		first := 20_000 + rand.IntN(10_000)
		free := true
		for p := first; p < first+n && free; p++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
			if free = err == nil; free {
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

// names are those of n brokers, as the scripts call them.
func (r *real) names(n int) []string {
	names := []string{"kafka"}
	for i := 2; i <= n; i++ {
		names = append(names, fmt.Sprintf("kafka-%d", i))
	}
	return names
}

func (r *real) script(name string, args ...string) string {
	r.t.Helper()
	c := exec.Command(filepath.Join(r.dir, name), args...)
	c.Env = r.env
	var out, faults strings.Builder
	c.Stdout, c.Stderr = &out, &faults
	if err := c.Run(); err != nil {
		r.t.Fatalf("%s: %v\n%s", name, err, faults.String())
	}
	return out.String()
}

func (r *real) start() {
	r.t.Helper()
	r.said = map[string]string{}
	for line := range strings.Lines(r.script("start-services.sh", "kafka")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		r.said[name] = value
	}
}

func (r *real) stop() { r.t.Helper(); r.script("stop-services.sh", "kafka") }

func (r *real) empty() { r.t.Helper(); r.script("stop-services.sh", "--wipe", "kafka") }

func (r *real) config() kafka.Config {
	return kafka.Config{Brokers: strings.Split(r.said["KAFKA_BROKERS"], ","), ReplicationFactor: 1}
}

// secure is the way in that asks for a password and is encrypted.
func (r *real) secure(mechanism string) kafka.Config {
	return kafka.Config{
		Brokers: []string{r.said["KAFKA_SECURE_BROKERS"]}, User: r.said["KAFKA_USERNAME"], Password: r.said["KAFKA_PASSWORD"],
		Mechanism: mechanism, TLS: true, CAFile: r.said["SERVICES_CA"], ReplicationFactor: 1,
	}
}

// pid is the id of a broker's process.
func (r *real) pid(name string) int {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.run, name+".pid"))
	if err != nil {
		r.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), " ")
	pid, err := strconv.Atoi(first)
	if err != nil {
		r.t.Fatal(err)
	}
	return pid
}

// freeze stops the broker in the middle of what it does; its connections stay.
func (r *real) freeze() { r.signal("kafka", syscall.SIGSTOP) }

func (r *real) thaw() { r.signal("kafka", syscall.SIGCONT) }

func (r *real) signal(name string, s syscall.Signal) {
	r.t.Helper()
	if err := syscall.Kill(r.pid(name), s); err != nil {
		r.t.Fatal(err)
	}
}
