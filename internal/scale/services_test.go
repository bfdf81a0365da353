//go:build linux

package scale

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
)

// services are Kafka and Redis, and how a program is told of them.
type services struct {
	kind  string
	kafka kafka.Config
	redis redis.Config
	env   []string
}

// embeddedServices run in this process.
func embeddedServices(t testing.TB) services {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "services")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := embedded.Start(context.Background(), embedded.Config{DataDir: dir, Log: testlog.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	j := s.Join()
	return services{
		kind:  "embedded",
		kafka: kafka.Config{Brokers: j.KafkaBrokers, User: j.KafkaUser, Password: j.KafkaPassword},
		redis: redis.Config{Addr: j.RedisAddr, Password: j.RedisPassword},
		env: []string{
			"KAFKA_HOST=" + j.KafkaBrokers[0], "KAFKA_USERNAME=" + j.KafkaUser, "KAFKA_PASSWORD=" + j.KafkaPassword,
			"REDIS_HOST=" + j.RedisAddr, "REDIS_PASSWORD=" + j.RedisPassword,
		},
	}
}

// realServices are started by scripts/start-services.sh from port on, and stopped with the test.
func realServices(t testing.TB, port int) services {
	t.Helper()
	run := filepath.Join(t.TempDir(), "services")
	script := func(args ...string) string {
		c := exec.Command(args[0], args[1:]...)
		c.Dir = "../../scripts"
		c.Env = append(os.Environ(), "SERVICES_RUN="+run, "KAFKA_PORT="+strconv.Itoa(port), "REDIS_PORT="+strconv.Itoa(port+4))
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		return string(out)
	}
	t.Cleanup(func() { script("./stop-services.sh", "--wipe") })
	addresses := map[string]string{}
	for line := range strings.Lines(script("./start-services.sh", "kafka", "redis")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		addresses[name] = value
	}
	brokers, addr := addresses["KAFKA_BROKERS"], addresses["REDIS_ADDR"]
	if brokers == "" || addr == "" {
		t.Fatal("the services did not start")
	}
	return services{
		kind:  "real",
		kafka: kafka.Config{Brokers: strings.Split(brokers, ",")}, redis: redis.Config{Addr: addr},
		env: []string{"KAFKA_HOST=" + brokers, "REDIS_HOST=" + addr},
	}
}
