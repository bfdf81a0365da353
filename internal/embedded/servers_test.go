package embedded_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
)

// With these set, the test binary is another process on a data folder.
const (
	childEnv    = "SKALDS_EMBEDDED_CHILD"
	childDirEnv = "SKALDS_EMBEDDED_DIR"
)

func TestMain(m *testing.M) {
	switch dir := os.Getenv(childDirEnv); os.Getenv(childEnv) {
	case "lock":
		if _, err := embedded.LockDataDir(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		select {} // until killed
	case "serve":
		if err := serve(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// serve reports to its own bus until killed, and says what was accepted.
func serve(dir string) error {
	ctx := context.Background() // this is a main
	s, err := embedded.Start(ctx, embedded.Config{DataDir: dir})
	if err != nil {
		return err
	}
	h, err := kafka.NewHostBus(busConfig(s.Join()), nil)
	if err != nil {
		return err
	}
	for i := int64(0); ; i++ {
		if err := h.Report(ctx, skalds.HostMessage{NodeID: "n", Report: &skalds.Report{Seq: i}}); err != nil {
			return err
		}
		fmt.Println(i)
	}
}

func busConfig(j embedded.Join) kafka.Config {
	return kafka.Config{Brokers: j.KafkaBrokers, User: j.KafkaUser, Password: j.KafkaPassword}
}

func start(t testing.TB, dir string) *embedded.Servers {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Config{DataDir: dir, Log: testlog.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t testing.TB, s *embedded.Servers) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// use sends through both servers.
func use(t testing.TB, j embedded.Join) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	h, err := kafka.NewHostBus(busConfig(j), testlog.New(t))
	if err != nil {
		return err
	}
	b := redis.NewHeartbeatStore(redis.Config{Addr: j.RedisAddr, Password: j.RedisPassword}, testlog.New(t))
	err = errors.Join(h.Report(ctx, skalds.HostMessage{NodeID: "n"}), b.Beat(ctx, skalds.Heartbeat{NodeID: "n"}, time.Minute))
	return errors.Join(err, h.Close(), b.Close())
}

func TestStart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if err := use(t, s.Join()); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteJoin("http://127.0.0.1:8000", "token", 15*time.Second); err != nil {
		t.Fatal(err)
	}
	first := s.Join()
	for _, path := range []string{dir, s.JoinPath()} {
		j, err := embedded.ReadJoin(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, j); diff != "" {
			t.Errorf("read from %s (-want +got):\n%s", path, diff)
		}
	}
	info, err := os.Stat(s.JoinPath())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the join file has mode %v, %v; want 0600", info.Mode(), err)
	}
	if len(first.KafkaPassword) < 32 || len(first.RedisPassword) < 32 || first.KafkaPassword == first.RedisPassword {
		t.Error("the passwords are too simple")
	}
	stop(t, s)
	again := start(t, dir)
	if diff := cmp.Diff(first, again.Join()); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if err := use(t, again.Join()); err != nil {
		t.Error(err)
	}
	if other := start(t, t.TempDir()).Join(); other.KafkaPassword == first.KafkaPassword {
		t.Error("another folder has the same password")
	}
}

func TestWrongPassword(t *testing.T) {
	j := start(t, t.TempDir()).Join()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for _, password := range []string{"", "wrong"} {
		b := redis.NewHeartbeatStore(redis.Config{Addr: j.RedisAddr, Password: password}, nil)
		if err := b.Beat(ctx, skalds.Heartbeat{NodeID: "n"}, time.Minute); err == nil {
			t.Errorf("Redis takes the password %q", password)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestPortTaken(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	before := s.Join()
	stop(t, s)
	for _, addr := range []string{before.KafkaBrokers[0], before.RedisAddr} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
	}
	after := start(t, dir).Join()
	if after.KafkaBrokers[0] == before.KafkaBrokers[0] || after.RedisAddr == before.RedisAddr {
		t.Errorf("the ports are those that somebody else has: %v, %v", after.KafkaBrokers, after.RedisAddr)
	}
	if after.KafkaPassword != before.KafkaPassword {
		t.Error("the password has changed with the port")
	}
	if err := use(t, after); err != nil {
		t.Error(err)
	}
	read, err := embedded.ReadJoin(dir)
	if err != nil || read.RedisAddr != after.RedisAddr {
		t.Errorf("the join file says %s, %v; want %s", read.RedisAddr, err, after.RedisAddr)
	}
}

// TestKilled kills a process that serves: the bus keeps what it had acknowledged.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childEnv+"=serve", childDirEnv+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		accepted, n := int64(-1), 0
		for {
			var i int64
			if _, err := fmt.Fscanln(out, &i); err != nil {
				break
			}
			accepted = i
			if n++; n == 200 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // says that it was killed
		if n < 200 {
			t.Fatalf("round %d: the process ended after %d reports", round, n)
		}
		s := start(t, dir)
		if last := lastReport(t, s.Join()); last < accepted {
			t.Errorf("round %d: the bus holds reports up to %d, it had acknowledged %d", round, last, accepted)
		}
		stop(t, s)
	}
}

// lastReport reads all that the bus holds.
func lastReport(t testing.TB, j embedded.Join) int64 {
	t.Helper()
	c, err := kafka.NewControllerBus(busConfig(j), testlog.New(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	last := int64(-1)
	err = c.Reports(ctx, "", cancel, func(_ context.Context, m skalds.HostMessage, _ string) {
		if m.Report != nil {
			last = m.Report.Seq
		}
	})
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	return last
}

func TestDamagedBus(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if err := use(t, s.Join()); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	damaged := 0
	err := filepath.WalkDir(filepath.Join(dir, "bus"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".json") {
			damaged++
			return os.WriteFile(path, []byte("\x00rubbish"), 0o600)
		}
		return err
	})
	if err != nil || damaged == 0 {
		t.Fatalf("damaged %d files, %v", damaged, err)
	}
	again := start(t, dir)
	if err := use(t, again.Join()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bus.damaged")); err != nil {
		t.Errorf("what cannot be read was not kept aside: %v", err)
	}
	if again.Join().KafkaBrokers[0] != s.Join().KafkaBrokers[0] {
		t.Error("the bus has moved")
	}
}

func TestReadJoin(t *testing.T) {
	dir := t.TempDir()
	if _, err := embedded.ReadJoin(dir); !errors.Is(err, skalds.ErrNotFound) || !strings.Contains(err.Error(), "join.json") {
		t.Errorf("no file: %v", err)
	}
	for name, content := range map[string]string{"no JSON": "hello", "another file": "{}"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := embedded.ReadJoin(path); !errors.Is(err, skalds.ErrInvalid) || !strings.Contains(err.Error(), "is no join file of skalds") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A broken join file in the data folder does not keep the servers from starting.
	if err := os.WriteFile(filepath.Join(dir, embedded.JoinFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
	var j embedded.Join
	b, err := os.ReadFile(filepath.Join(dir, embedded.JoinFile))
	if err := errors.Join(err, json.Unmarshal(b, &j)); err != nil || j.RedisAddr == "" {
		t.Errorf("the join file is %s, %v", b, err)
	}
}

// TestNothingIsLeft counts goroutines around a whole life.
func TestNothingIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	for range 3 {
		s := start(t, dir)
		if err := use(t, s.Join()); err != nil {
			t.Fatal(err)
		}
		stop(t, s)
	}
	deadline := time.Now().Add(30 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines are left, %d were there before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Without its join file, or with one that cannot be read, a standalone starts with new passwords: the bus must take them,
// though it has kept the old ones.
func TestLostJoinFile(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed": os.Remove,
		"rubbish": func(path string) error { return os.WriteFile(path, []byte("rubbish"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, dir)
			if err := use(t, s.Join()); err != nil {
				t.Fatal(err)
			}
			stop(t, s)
			if err := spoil(s.JoinPath()); err != nil {
				t.Fatal(err)
			}
			again := start(t, dir)
			if again.Join().KafkaPassword == s.Join().KafkaPassword {
				t.Fatal("the old password is still known")
			}
			if err := use(t, again.Join()); err != nil {
				t.Error(err)
			}
		})
	}
}
