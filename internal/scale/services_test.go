//go:build linux

package scale

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
	"github.com/skalds-go/skalds/internal/testservices"
)

// services are Kafka and Redis, and how a program is told of them.
type services struct {
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
		kafka: kafka.Config{Brokers: j.KafkaBrokers, User: j.KafkaUser, Password: j.KafkaPassword},
		redis: redis.Config{Addr: j.RedisAddr, Password: j.RedisPassword},
		env: []string{
			"KAFKA_HOST=" + j.KafkaBrokers[0], "KAFKA_USERNAME=" + j.KafkaUser, "KAFKA_PASSWORD=" + j.KafkaPassword,
			"REDIS_HOST=" + j.RedisAddr, "REDIS_PASSWORD=" + j.RedisPassword,
		},
	}
}

// realServices are those of SKALDS_TEST_KAFKA and SKALDS_TEST_REDIS, or else some that are started for the test and stopped with it.
func realServices(t testing.TB) services {
	t.Helper()
	if brokers, addr := os.Getenv("SKALDS_TEST_KAFKA"), os.Getenv("SKALDS_TEST_REDIS"); brokers != "" && addr != "" {
		return at(brokers, addr)
	}
	port := testservices.FreePorts(t, 5) // Kafka has three
	s := testservices.Start(t, []string{"kafka", "redis"}, "KAFKA_PORT="+strconv.Itoa(port), "REDIS_PORT="+strconv.Itoa(port+3))
	return at(s.Said("KAFKA_BROKERS"), s.Said("REDIS_ADDR"))
}

func at(brokers, addr string) services {
	return services{
		kafka: kafka.Config{Brokers: strings.Split(brokers, ",")}, redis: redis.Config{Addr: addr},
		env: []string{"KAFKA_HOST=" + brokers, "REDIS_HOST=" + addr},
	}
}
