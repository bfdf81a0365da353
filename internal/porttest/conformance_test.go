package porttest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/host"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/porttest"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/sqlite"
	"github.com/skalds-go/skalds/internal/testlog"
)

func TestSQLite(t *testing.T) {
	porttest.RunStore(t, func(t testing.TB) controller.Store {
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "skalds.db"), testlog.New(t))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
	porttest.RunLeaderStore(t, func(t testing.TB) controller.LeaderStore {
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "skalds.db"), testlog.New(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

func TestEmbeddedBus(t *testing.T) {
	s := startEmbedded(t, t.TempDir())
	porttest.RunBus(t, func(testing.TB) porttest.Bus { return busAt(busConfig(s.Join())) })
}

func TestEmbeddedHeartbeats(t *testing.T) {
	s := startEmbedded(t, t.TempDir())
	runRedis(t, redisConfig(s.Join()))
}

// TestKafka needs a real Kafka: SKALDS_TEST_KAFKA=127.0.0.1:9092.
func TestKafka(t *testing.T) {
	cfg := kafka.Config{Brokers: strings.Split(real(t, "SKALDS_TEST_KAFKA", "a Kafka, as host:port"), ",")}
	porttest.RunBus(t, func(testing.TB) porttest.Bus { return busAt(cfg) })
}

// TestRedis needs a real Redis or Valkey: SKALDS_TEST_REDIS=127.0.0.1:6379.
func TestRedis(t *testing.T) {
	runRedis(t, redis.Config{Addr: real(t, "SKALDS_TEST_REDIS", "a Redis or Valkey, as host:port")})
}

// real is the address of a real server, or skips the test.
func real(t *testing.T, variable, what string) string {
	t.Helper()
	addr := os.Getenv(variable)
	if addr == "" {
		t.Skipf("%s is not set: it names %s that this test may write to", variable, what)
	}
	return addr
}

func startEmbedded(t testing.TB, dir string) *embedded.Servers {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Config{DataDir: dir, Log: testlog.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func busConfig(j embedded.Join) kafka.Config {
	return kafka.Config{Brokers: j.KafkaBrokers, User: j.KafkaUser, Password: j.KafkaPassword}
}

func redisConfig(j embedded.Join) redis.Config {
	return redis.Config{Addr: j.RedisAddr, Password: j.RedisPassword}
}

func busAt(cfg kafka.Config) porttest.Bus {
	return porttest.Bus{
		Controller: func(t testing.TB) controller.Bus {
			b, err := kafka.NewControllerBus(cfg, testlog.New(t))
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Host: func(t testing.TB) host.Bus {
			b, err := kafka.NewHostBus(cfg, testlog.New(t))
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Original: func(t testing.TB, topic, key, value string) {
			t.Helper()
			cl := client(t, cfg, kgo.DefaultProduceTopic(topic))
			defer cl.Close()
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		},
		Overheard: func(t testing.TB, topic, key string) string {
			t.Helper()
			cl := client(t, cfg, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			defer cl.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for ctx.Err() == nil {
				for r := range cl.PollFetches(ctx).RecordsAll() {
					if string(r.Key) == key {
						return string(r.Value)
					}
				}
			}
			t.Fatalf("nothing was written to %s under %s", topic, key)
			return ""
		},
	}
}

// client is one of somebody else.
func client(t testing.TB, cfg kafka.Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append(opts, kgo.SeedBrokers(cfg.Brokers...))
	if cfg.User != "" {
		opts = append(opts, kgo.SASL(plain.Auth{User: cfg.User, Pass: cfg.Password}.AsMechanism()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

func runRedis(t *testing.T, cfg redis.Config) {
	t.Run("heartbeats", func(t *testing.T) {
		porttest.RunHeartbeats(t, func(t testing.TB) porttest.Heartbeats { return redis.NewHeartbeatStore(cfg, testlog.New(t)) })
	})
	t.Run("cache", func(t *testing.T) {
		porttest.RunCache(t, func(t testing.TB) host.Cache {
			c := redis.NewCache(cfg)
			t.Cleanup(func() {
				if err := c.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			return c
		})
	})
}
