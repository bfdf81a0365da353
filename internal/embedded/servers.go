package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/skalds-go/skalds"
)

// busDir is where the bus keeps its messages, in the data folder.
const busDir = "bus"

// busUser is who all of an installation are on the bus; the password tells who belongs to it.
const busUser = "skalds"

// retentionInterval is how often the bus drops what is too old.
const retentionInterval = time.Minute

// Config says where the servers keep what must survive.
type Config struct {
	DataDir string       // locked by LockDataDir; join.json and the bus lie in it
	Log     hclog.Logger // nil is silent
	// Elsewhere names what runs outside: where it has brokers no bus is started, where it has an address of Redis no Redis. join.json
	// passes both on.
	Elsewhere Join
}

// Servers are a bus and a Redis in this process.
type Servers struct {
	dir   string
	bus   *kfake.Cluster
	redis *miniredis.Miniredis
	close sync.Once

	closing chan struct{} // closed when keys need no longer expire; nil: there is no Redis
	aging   sync.WaitGroup

	mu   sync.Mutex // guards join
	join Join
}

// Start starts both, or those that do not run elsewhere, on loopback, on the ports and with the passwords of the last time where the folder knows them, and
// writes join.json. ctx bounds the start only; the servers run until Close.
func Start(ctx context.Context, cfg Config) (*Servers, error) {
	log := cfg.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	log = log.Named("embedded")
	before, err := ReadJoin(filepath.Join(cfg.DataDir, JoinFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Warn("the join file cannot be used: hosts that have joined must be given the new one", "err", err)
	}
	before = before.own()
	s := &Servers{dir: cfg.DataDir, join: Join{
		KafkaUser: busUser, KafkaPassword: secret(before.KafkaPassword), RedisPassword: secret(before.RedisPassword),
		Server: before.Server, Token: before.Token, Lease: before.Lease,
	}}
	if e := cfg.Elsewhere; len(e.KafkaBrokers) > 0 {
		s.join.KafkaBrokers, s.join.KafkaUser, s.join.KafkaPassword = e.KafkaBrokers, e.KafkaUser, e.KafkaPassword
		s.join.KafkaMechanism, s.join.KafkaTLS, s.join.KafkaCAFile, s.join.KafkaElsewhere = e.KafkaMechanism, e.KafkaTLS, e.KafkaCAFile, true
	} else if err := s.startBus(before, log); err != nil {
		return nil, err
	}
	if e := cfg.Elsewhere; e.RedisAddr != "" {
		s.join.RedisAddr, s.join.RedisUsername, s.join.RedisPassword, s.join.RedisElsewhere = e.RedisAddr, e.RedisUsername, e.RedisPassword, true
		s.join.RedisTLS, s.join.RedisCAFile, s.join.RedisCluster = e.RedisTLS, e.RedisCAFile, e.RedisCluster
	} else if err := s.startRedis(before, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := context.Cause(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.join.write(s.JoinPath()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func secret(before string) string {
	if before != "" {
		return before
	}
	return rand.Text() + rand.Text()
}

func (s *Servers) startBus(before Join, log hclog.Logger) error {
	addr := ""
	if len(before.KafkaBrokers) > 0 {
		addr = before.KafkaBrokers[0]
	}
	l, err := listen("bus", addr, log)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, busDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return errors.Join(fmt.Errorf("make the folder of the bus: %w", err), l.Close())
	}
	s.bus, err = s.newBus(dir, l)
	if err != nil { // the store is the truth: a bus that has lost all costs time only
		aside := dir + ".damaged"
		log.Warn("what the bus has kept cannot be read: it starts empty, nothing that was accepted is lost", "kept", aside, "err", err)
		err = errors.Join(os.RemoveAll(aside), os.Rename(dir, aside), os.MkdirAll(dir, 0o700))
		if err == nil {
			if l, err = listen("bus", l.Addr().String(), log); err == nil {
				s.bus, err = s.newBus(dir, l)
			}
		}
		if err != nil {
			return fmt.Errorf("start the embedded bus: %w", err)
		}
	}
	s.join.KafkaBrokers = []string{l.Addr().String()}
	return nil
}

// busVersions leaves out the version of Kafka's protocol in which messages name their topics by id: a program that still has the ids
// of a bus that was emptied, and sends to two topics at once, would end this kfake by a panic.
func busVersions() *kversion.Versions {
	const produce, byName = 0, 12
	v := kversion.Tip()
	v.SetMaxKeyVersion(produce, byName)
	return v
}

// newBus takes over the listener, also where it fails.
func (s *Servers) newBus(dir string, l net.Listener) (*kfake.Cluster, error) {
	port := l.Addr().(*net.TCPAddr).Port
	// It keeps the passwords of the first start, ours are those of the join file: with one that was lost they would differ.
	if err := os.Remove(filepath.Join(dir, "sasl.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(err, l.Close())
	}
	bus, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.Ports(port),
		kfake.ListenFn(func(_, _ string) (net.Listener, error) { return l, nil }),
		kfake.DataDir(dir),
		kfake.ClusterID("skalds-embedded"),
		kfake.MaxVersions(busVersions()),
		kfake.EnableSASL(),
		kfake.Superuser("PLAIN", busUser, s.join.KafkaPassword),
		kfake.Superuser("SCRAM-SHA-256", busUser, s.join.KafkaPassword),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(6),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms": strconv.FormatInt(retentionInterval.Milliseconds(), 10),
			"log.retention.ms":       strconv.FormatInt((24 * time.Hour).Milliseconds(), 10),
			"log.segment.bytes":      strconv.Itoa(4 << 20),
		}),
	)
	if err != nil {
		return nil, errors.Join(err, ignoreClosed(l.Close()))
	}
	return bus, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Servers) startRedis(before Join, log hclog.Logger) error {
	l, err := listen("Redis", before.RedisAddr, log)
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil { // miniredis wants to listen itself
		return fmt.Errorf("start the embedded Redis: %w", err)
	}
	m := miniredis.NewMiniRedis()
	m.RequireAuth(s.join.RedisPassword)
	if err := m.StartAddr(addr); err != nil {
		return fmt.Errorf("start the embedded Redis on %s: %w", addr, err)
	}
	s.redis, s.join.RedisAddr = m, addr
	s.closing = make(chan struct{})
	s.aging.Go(s.age)
	return nil
}

// ageEvery is how late a key may expire.
const ageEvery = 200 * time.Millisecond

// age lets keys expire. miniredis can do so by itself (ClockTTL), but then sorts and walks all keys at every command.
func (s *Servers) age() {
	tick := time.NewTicker(ageEvery)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-s.closing:
			return
		case now := <-tick.C:
			s.redis.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Join is how to reach the servers.
func (s *Servers) Join() Join {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.join
}

// JoinPath is where join.json lies.
func (s *Servers) JoinPath() string { return filepath.Join(s.dir, JoinFile) }

// WriteJoin writes join.json with the controller's URL, token and lease.
func (s *Servers) WriteJoin(server, token string, lease time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.join.Server, s.join.Token, s.join.Lease = server, token, skalds.Duration(lease)
	return s.join.write(s.JoinPath())
}

// Close stops both; close their clients first. Safe to call twice. join.json stays, for the next start.
func (s *Servers) Close() error {
	s.close.Do(func() {
		if s.redis != nil {
			close(s.closing)
			s.aging.Wait()
			s.redis.Close()
		}
		if s.bus != nil {
			s.bus.Close()
		}
	})
	return nil
}
