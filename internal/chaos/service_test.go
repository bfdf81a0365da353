//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/testlog"
)

// service is one of those that the programs of a cluster use.
type service struct {
	name   string // kafka, redis or mongo
	target string // host:port
	// env tells a program where its way to the service begins.
	env func(way string) []string
	// pid is its process; nil: it is in this one. 0: it does not run.
	pid func() int
	// start starts it again with what it has kept.
	start func() error
	// wipe starts it again without what it has kept.
	wipe func() error
}

func kafkaEnv(way string) []string { return []string{"KAFKA_HOST=" + way} }
func redisEnv(way string) []string { return []string{"REDIS_HOST=" + way} }
func mongoEnv(way string) []string {
	return []string{"MONGO_HOST=mongodb://" + way + "/?directConnection=true"}
}

// embeddedServices are Kafka and Redis as a standalone has them, in this process. To wipe one is to wipe both.
func embeddedServices(t testing.TB, dir string) []*service {
	t.Helper()
	var mu sync.Mutex // guards s
	var s *embedded.Servers
	start := func() (err error) {
		s, err = embedded.Start(context.Background(), embedded.Config{DataDir: dir, Log: testlog.New(t)})
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the services: %v", err)
		}
	})
	wipe := func() error {
		mu.Lock()
		defer mu.Unlock()
		return errors.Join(s.Close(), os.RemoveAll(filepath.Join(dir, "bus")), start())
	}
	join := s.Join()
	kafka := func(way string) []string {
		return append(kafkaEnv(way), "KAFKA_USERNAME="+join.KafkaUser, "KAFKA_PASSWORD="+join.KafkaPassword)
	}
	redis := func(way string) []string { return append(redisEnv(way), "REDIS_PASSWORD="+join.RedisPassword) }
	return []*service{
		{name: "kafka", target: join.KafkaBrokers[0], env: kafka, wipe: wipe},
		{name: "redis", target: join.RedisAddr, env: redis, wipe: wipe},
	}
}

// realServices are started by scripts/start-services.sh, on ports of their own, and stopped with the test.
func realServices(t testing.TB, dir string, names ...string) []*service {
	t.Helper()
	first := freePorts(t, 10)
	ports := map[string]int{"kafka": first, "redis": first + 4, "mongo": first + 7}
	env := append(os.Environ(), "SERVICES_RUN="+dir, fmt.Sprintf("SERVICES_TIMEOUT=%.0f", patience.Seconds()))
	for name, port := range ports {
		env = append(env, fmt.Sprintf("%s_PORT=%d", strings.ToUpper(name), port))
	}
	script := func(name string, args ...string) error {
		c := exec.Command("scripts/"+name, args...)
		c.Dir, c.Env = "../..", env
		if text, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %v: %w\n%s", name, args, err, text)
		}
		return nil
	}
	t.Cleanup(func() {
		if err := script("stop-services.sh", "--wipe"); err != nil {
			t.Error(err)
		}
	})
	if err := script("start-services.sh", names...); err != nil {
		t.Fatal(err)
	}
	told := map[string]func(string) []string{"kafka": kafkaEnv, "redis": redisEnv, "mongo": mongoEnv}
	var out []*service
	for _, name := range names {
		out = append(out, &service{
			name: name, target: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[name])), env: told[name],
			pid: func() int {
				b, _ := os.ReadFile(filepath.Join(dir, name+".pid"))
				pid, _, _ := strings.Cut(string(b), " ")
				n, _ := strconv.Atoi(pid)
				if state, _, _ := status(n); state == "" || state == "Z" {
					return 0
				}
				return n
			},
			start: func() error { return script("start-services.sh", name) },
			wipe: func() error {
				return errors.Join(script("stop-services.sh", "--wipe", name), script("start-services.sh", name))
			},
		})
	}
	return out
}

// freePorts is the first of so many ports in a row on which nobody listens, below those that systems hand to outgoing connections, and
// below those that other tests choose from: nobody shall take them while a service is dead.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	for try := range 50 {
		first := 15000 + (os.Getpid()*10+try*200)%5000
		free := true
		for i := range n {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first+i)))
			if err != nil {
				free = false
				break
			}
			free = l.Close() == nil && free
		}
		if free {
			return first
		}
	}
	t.Fatalf("no %d ports in a row are free", n)
	return 0
}
