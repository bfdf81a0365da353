package redis_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/faultproxy"
	"github.com/skalds-go/skalds/internal/redis"
)

// given is the server that the environment names, or one in this process.
func given(t testing.TB) string {
	t.Helper()
	if addr := os.Getenv("SKALDS_TEST_REDIS"); addr != "" {
		return addr
	}
	t.Log("SKALDS_TEST_REDIS is not set: this runs on a server in this process")
	return startMini(t).Addr()
}

// Bounds of a call, and how much longer it may take on a busy machine.
const (
	beatBound, readBound = 500 * time.Millisecond, 2 * time.Second
	busy                 = 5
)

// calls does everything that must end in time, and returns the error of a heartbeat.
func calls(t *testing.T, what string, s *redis.HeartbeatStore, c *redis.Cache) error {
	t.Helper()
	timed := func(call string, bound time.Duration, do func(ctx context.Context) error) error {
		start := time.Now()
		err := do(t.Context()) // no time-out of its own: the store must have one
		if took := time.Since(start); took > busy*bound {
			t.Errorf("%s: %s took %v, its bound is %v", what, call, took, bound)
		}
		if err != nil && !errors.Is(err, skalds.ErrUnavailable) {
			t.Errorf("%s: %s: %v, want unavailable", what, call, err)
		}
		return err
	}
	beat := timed("a heartbeat", beatBound, func(ctx context.Context) error { return s.Beat(ctx, heartbeat(), time.Minute) })
	_ = timed("the end of a task", beatBound, func(ctx context.Context) error { return s.TaskEnded(ctx, "a", skalds.Finished, "") })
	_ = timed("reading", readBound, func(ctx context.Context) error { _, err := s.Heartbeats(ctx); return err })
	_ = timed("tasks", readBound, func(ctx context.Context) error {
		tasks, err := s.OriginalTasks(ctx, []string{"a"})
		if err == nil && !tasks["a"].Found {
			t.Errorf("%s: the task is gone, and nobody says that it could not be read", what)
		}
		return err
	})
	_ = timed("the cache", readBound, func(ctx context.Context) error { return c.Set(ctx, "t/k", []byte("v"), time.Minute) })
	return beat
}

func back(t *testing.T, what string, s *redis.HeartbeatStore) {
	t.Helper()
	start := time.Now()
	eventually(t, what+": heartbeats get through again", func() bool { return s.Beat(t.Context(), heartbeat(), time.Minute) == nil })
	eventually(t, what+": heartbeats are read again", func() bool {
		list, err := s.Heartbeats(t.Context())
		return err == nil && len(list) > 0
	})
	t.Logf("%s: a heartbeat got through and was read %v after the end", what, time.Since(start).Round(time.Millisecond))
}

// TestWayBroken breaks the way to the server in each manner. Each call ends in time, and all goes on by itself.
func TestWayBroken(t *testing.T) {
	p, err := faultproxy.Start(faultproxy.Config{Target: given(t)})
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	s, c := openBeats(t, redis.Config{Addr: p.Addr()}), redis.NewCache(redis.Config{Addr: p.Addr()})
	t.Cleanup(func() { must(t, c.Close()) })
	for _, f := range []struct {
		name    string
		fault   faultproxy.Fault
		through bool // heartbeats get through all the same
	}{
		{"refused", faultproxy.Fault{Refuse: true}, false},
		{"stalled", faultproxy.Fault{Stall: true}, false},
		{"slow", faultproxy.Fault{Delay: 100 * time.Millisecond}, true}, // an answer takes 200 ms
		{"too slow", faultproxy.Fault{Delay: 600 * time.Millisecond}, false},
		{"cut in a heartbeat", faultproxy.Fault{CutAfter: 300}, false},
		{"cut in the greeting", faultproxy.Fault{CutAfter: 10}, false},
		{"cut now and then", faultproxy.Fault{CutAfter: 10_000}, true},
	} {
		must(t, s.TaskEnded(t.Context(), "a", skalds.Finished, ""))
		must(t, s.Beat(t.Context(), heartbeat(), time.Minute))
		must(t, p.Set(f.fault))
		through := 0
		for range 2 {
			if calls(t, f.name, s, c) == nil {
				through++
			}
		}
		if !f.through && through > 0 {
			t.Errorf("%s: %d heartbeats were taken for written", f.name, through)
		}
		if f.through && through == 0 {
			t.Errorf("%s: no heartbeat got through", f.name)
		}
		must(t, p.Set(faultproxy.Fault{}))
		back(t, f.name, s)
	}
}

// TestServerAway freezes, kills and empties a real server.
func TestServerAway(t *testing.T) {
	r := startReal(t)
	s, c := openBeats(t, r.config()), redis.NewCache(r.config())
	t.Cleanup(func() { must(t, c.Close()) })
	must(t, s.TaskEnded(t.Context(), "a", skalds.Finished, ""))
	must(t, s.Beat(t.Context(), heartbeat(), time.Minute))

	r.signal(syscall.SIGSTOP)
	for range 2 {
		if calls(t, "frozen", s, c) == nil {
			t.Error("frozen: a heartbeat was taken for written")
		}
	}
	r.signal(syscall.SIGCONT)
	back(t, "frozen", s)

	r.signal(syscall.SIGKILL)
	eventually(t, "the server is gone", func() bool { return s.Ping(t.Context()) != nil })
	if calls(t, "killed", s, c) == nil {
		t.Error("killed: a heartbeat was taken for written")
	}
	r.Start()
	back(t, "killed", s)

	admin := driver.NewClient(&driver.Options{Addr: r.config().Addr})
	defer func() { _ = admin.Close() }()
	must(t, admin.FlushAll(t.Context()).Err())
	if list, err := s.Heartbeats(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("emptied: %d heartbeats, %v", len(list), err)
	}
	back(t, "emptied", s)
	for _, key := range []string{"skalds:hash", "skalds:mode:hash", "skalds:n1:heartbeat", "skalds:n1:all-task", "skalds:n1:allow-task-class-name", "task:b:heartbeat"} {
		if n, err := admin.Exists(t.Context(), key).Result(); err != nil || n != 1 {
			t.Errorf("emptied: %s is not there again, %v", key, err)
		}
	}

	// A server that may not take any more says so, and what to do.
	must(t, admin.ConfigSet(t.Context(), "maxmemory", "1").Err())
	must(t, admin.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	if err := s.Beat(t.Context(), heartbeat(), time.Minute); err == nil || !errors.Is(err, skalds.ErrUnavailable) {
		t.Errorf("full: %v", err)
	} else {
		t.Log(err)
	}
	must(t, admin.ConfigSet(t.Context(), "maxmemory", "0").Err())
	back(t, "full", s)
}

// TestReadingWhileLoading has a server that answers everything with an error: no task is taken for gone.
func TestReadingWhileLoading(t *testing.T) {
	m := startMini(t)
	s := openBeats(t, redis.Config{Addr: m.Addr()})
	must(t, s.TaskEnded(t.Context(), "a", skalds.Finished, ""))
	m.HSet("skalds:mode:hash", "py-1", "node")
	for _, answer := range []string{"LOADING Redis is loading the dataset in memory", "NOPERM no", "CLUSTERDOWN no", "ERR what"} {
		m.SetError(answer)
		if tasks, err := s.OriginalTasks(t.Context(), []string{"a"}); err == nil {
			t.Errorf("%s: %v", answer, tasks)
		}
		if nodes, err := s.OriginalNodes(t.Context()); err == nil {
			t.Errorf("%s: %v", answer, nodes)
		}
	}
}
