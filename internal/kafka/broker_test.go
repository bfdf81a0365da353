package kafka_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/testlog"
	"github.com/skalds-go/skalds/internal/testservices"
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
	*testservices.Services
	brokers []string // as the scripts call them
}

// startReal starts one broker, where this machine can.
func startReal(t testing.TB) *real {
	t.Helper()
	return startBrokers(t, 1)
}

// startBrokers is startReal with several brokers, up to nine.
func startBrokers(t testing.TB, n int) *real {
	t.Helper()
	r := &real{brokers: []string{"kafka"}}
	for i := 2; i <= n; i++ {
		r.brokers = append(r.brokers, fmt.Sprintf("kafka-%d", i))
	}
	r.Services = testservices.Start(t, []string{"kafka"}, "KAFKA_PORT="+strconv.Itoa(testservices.FreePorts(t, 10*n)), "KAFKA_NODES="+strconv.Itoa(n), "SERVICES_SECURE=kafka")
	return r
}

func (r *real) start() { r.Start() }

func (r *real) stop() { r.Stop() }

func (r *real) empty() { r.Wipe() }

func (r *real) config() kafka.Config {
	return kafka.Config{Brokers: strings.Split(r.Said("KAFKA_BROKERS"), ","), ReplicationFactor: 1}
}

// secure is the way in that asks for a password and is encrypted.
func (r *real) secure(mechanism string) kafka.Config {
	return kafka.Config{
		Brokers: []string{r.Said("KAFKA_SECURE_BROKERS")}, User: r.Said("KAFKA_USERNAME"), Password: r.Said("KAFKA_PASSWORD"),
		Mechanism: mechanism, TLS: true, CAFile: r.Said("SERVICES_CA"), ReplicationFactor: 1,
	}
}

// freeze stops the broker in the middle of what it does; its connections stay.
func (r *real) freeze() { r.Signal("kafka", syscall.SIGSTOP) }

func (r *real) thaw() { r.Signal("kafka", syscall.SIGCONT) }
