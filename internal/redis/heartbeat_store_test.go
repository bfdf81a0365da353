package redis_test

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
)

func startMini(t testing.TB) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func openBeats(t testing.TB, cfg redis.Config) *redis.HeartbeatStore {
	t.Helper()
	s := redis.NewHeartbeatStore(cfg, testlog.New(t))
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Errorf("close, twice: %v", err)
		}
	})
	return s
}

func heartbeat() skalds.Heartbeat {
	return skalds.Heartbeat{
		NodeID: "n1", Incarnation: 2, Seq: 205, At: 1234, Mode: skalds.NodeModeEdge, Classes: []string{"Recorder", "Detector"},
		Instances: []skalds.InstanceStatus{
			{TaskID: "a", ClassName: "Recorder", State: skalds.Running},
			{TaskID: "b", ClassName: "Detector", State: skalds.Paused},
			{TaskID: "c", ClassName: "Detector", State: skalds.Failed},
		},
	}
}

// TestOriginalKeys looks at the keys as the Python original's programs do.
func TestOriginalKeys(t *testing.T) {
	m := startMini(t)
	s := openBeats(t, redis.Config{Addr: m.Addr(), KeyTTL: 100 * time.Second})
	h := heartbeat()
	for range 2 { // the second time replaces the first
		if err := s.Beat(t.Context(), h, 6*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]string{
		"skalds:n1:heartbeat": "5", // 205 modulo 200: larger ones are ends
		"skalds:n1:all-task":  `{"existed_task_ids":[],"tasks":[{"id":"a","class_name":"Recorder"},{"id":"b","class_name":"Detector"},{"id":"c","class_name":"Detector"}],"timestamp":1234}`,
		"task:a:heartbeat":    "5",
		"task:b:heartbeat":    "5",
	} {
		if got, err := m.Get(key); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", key, got, err, want)
		}
	}
	if m.Exists("task:c:heartbeat") {
		t.Error("a task that has ended beats")
	}
	if got := m.HGet("skalds:hash", "n1"); got != "1234" {
		t.Errorf("skalds:hash holds %s", got)
	}
	if got := m.HGet("skalds:mode:hash", "n1"); got != "edge" {
		t.Errorf("skalds:mode:hash holds %s", got)
	}
	if got, err := m.List("skalds:n1:allow-task-class-name"); err != nil || !slices.Equal(got, []string{"Recorder", "Detector"}) {
		t.Errorf("the classes are %v, %v", got, err)
	}
	for key, limit := range map[string]time.Duration{
		"skalds:n1:heartbeat": 8 * time.Second, "task:a:heartbeat": 8 * time.Second,
		"skalds:n1:all-task": 100 * time.Second, "skalds:n1:allow-task-class-name": 100 * time.Second,
	} {
		if ttl := m.TTL(key); ttl <= 0 || ttl > limit {
			t.Errorf("%s lives %v, want up to %v", key, ttl, limit)
		}
	}
	for state, want := range map[skalds.State]string{skalds.Finished: "200", skalds.Failed: "-1", skalds.Cancelled: "-2"} {
		if err := s.TaskEnded(t.Context(), "a", state, "it broke"); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Get("task:a:heartbeat"); err != nil || got != want {
			t.Errorf("%s is written as %s, %v; want %s", state, got, err, want)
		}
		if ttl := m.TTL("task:a:exception"); ttl <= 0 || ttl > time.Hour {
			t.Errorf("the exception lives %v", ttl)
		}
	}
	if err := s.Forget(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	if left := m.Keys(); !cmp.Equal(left, []string{"task:a:exception", "task:a:heartbeat", "task:b:heartbeat"}) {
		t.Errorf("after the node was forgotten these keys are left: %v", left)
	}
}

// TestForeignKeyType has something of another type under a key of the original: a heartbeat counts all the same.
func TestForeignKeyType(t *testing.T) {
	m := startMini(t)
	if err := m.Set("skalds:hash", "not a hash"); err != nil {
		t.Fatal(err)
	}
	s := openBeats(t, redis.Config{Addr: m.Addr()})
	if err := s.Beat(t.Context(), heartbeat(), time.Minute); err != nil {
		t.Errorf("beat: %v", err)
	}
	if _, _, found, err := s.PeekSeq(t.Context(), "n1"); err != nil || !found {
		t.Errorf("found %t, %v", found, err)
	}
}

// TestNoFieldTTL plays a server that knows no HEXPIRE.
func TestNoFieldTTL(t *testing.T) {
	m := startMini(t)
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if strings.EqualFold(cmd, "HEXPIRE") {
			c.WriteError("ERR unknown command 'HEXPIRE', with args beginning with: ")
			return true
		}
		return false
	})
	s := openBeats(t, redis.Config{Addr: m.Addr(), KeyTTL: 100 * time.Second})
	for seq := range int64(3) {
		h := heartbeat()
		h.Seq = seq
		if err := s.Beat(t.Context(), h, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, seq, found, err := s.PeekSeq(t.Context(), "n1"); err != nil || !found || seq != 2 {
		t.Errorf("seq %d, found %t, %v", seq, found, err)
	}
	if ttl := m.TTL("skalds:beats"); ttl <= 0 {
		t.Error("the heartbeats live for ever")
	}
}

func TestAway(t *testing.T) {
	m := startMini(t)
	s := openBeats(t, redis.Config{Addr: m.Addr()})
	if err := s.Beat(t.Context(), heartbeat(), time.Minute); err != nil {
		t.Fatal(err)
	}
	m.Close()
	start := time.Now()
	if err := s.Beat(t.Context(), heartbeat(), time.Minute); !errors.Is(err, skalds.ErrUnavailable) {
		t.Errorf("a heartbeat to a server that is away: %v", err)
	}
	if took := time.Since(start); took > 5*500*time.Millisecond {
		t.Errorf("it took %v to give up after 500 ms", took)
	}
	if _, err := s.Heartbeats(t.Context()); !errors.Is(err, skalds.ErrUnavailable) {
		t.Errorf("reading from a server that is away: %v", err)
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := s.Beat(t.Context(), heartbeat(), time.Minute)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is back: %v", err)
		}
	}
}

// TestSilent has a server that takes connections and never answers.
func TestSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := openBeats(t, redis.Config{Addr: l.Addr().String()})
	start := time.Now()
	if err := s.Beat(t.Context(), heartbeat(), time.Minute); !errors.Is(err, skalds.ErrUnavailable) {
		t.Errorf("a heartbeat to a silent server: %v", err)
	}
	if took := time.Since(start); took > 5*500*time.Millisecond {
		t.Errorf("it took %v to give up after 500 ms", took)
	}
}

// TestReplicas wants a confirmation that nobody gives.
func TestReplicas(t *testing.T) {
	m := startMini(t)
	s := openBeats(t, redis.Config{Addr: m.Addr(), MinReplicas: 1})
	if err := s.Beat(t.Context(), heartbeat(), time.Minute); !errors.Is(err, skalds.ErrUnavailable) {
		t.Errorf("a heartbeat without a replica: %v", err)
	}
}

func BenchmarkBeat(b *testing.B) {
	m := startMini(b)
	s := openBeats(b, redis.Config{Addr: m.Addr()})
	h := heartbeat()
	b.ReportAllocs()
	for b.Loop() {
		h.Seq++
		if err := s.Beat(b.Context(), h, time.Minute); err != nil {
			b.Fatal(err)
		}
	}
}
