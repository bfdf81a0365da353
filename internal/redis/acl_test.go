package redis_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	driver "github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/porttest"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
)

// documentedACL is the rule that docs/operations.md tells people to set.
func documentedACL(t testing.TB) []any {
	t.Helper()
	b, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	m := regexp.MustCompile(`(?m)^ACL SETUSER skalds (on >\S+ (.+))$`).FindStringSubmatch(strings.ReplaceAll(string(b), "\\\n", ""))
	if m == nil {
		t.Fatal("docs/operations.md has no line that begins with ACL SETUSER skalds on >PASSWORD")
	}
	var rules []any
	for _, r := range strings.Fields(m[2]) {
		rules = append(rules, r)
	}
	return rules
}

// TestACL gives a user what docs/operations.md says and nothing else: that is enough, and each part of it is needed.
func TestACL(t *testing.T) {
	r := startReal(t)
	admin := driver.NewClient(&driver.Options{Addr: r.config().Addr})
	defer func() { _ = admin.Close() }()
	must(t, admin.HSet(t.Context(), "skalds:mode:hash", "py-1", "node").Err()) // a Python node, of which more is read
	rules := documentedACL(t)
	user := func(t testing.TB, name string, rules []any) redis.Config {
		t.Helper()
		must(t, admin.Do(t.Context(), append([]any{"ACL", "SETUSER", name, "reset", "on", ">secret"}, rules...)...).Err())
		return redis.Config{Addr: r.config().Addr, Username: name, Password: "secret"}
	}
	refusals := func(t testing.TB) []string {
		t.Helper()
		log, err := admin.ACLLog(t.Context(), 1000).Result()
		must(t, err)
		var list []string
		for _, l := range log {
			list = append(list, l.Username+" "+l.Object)
		}
		return list
	}
	cfg := user(t, "skalds", rules)
	t.Run("enough", func(t *testing.T) {
		porttest.RunHeartbeats(t, func(t testing.TB) porttest.Heartbeats { return redis.NewHeartbeatStore(cfg, testlog.New(t)) })
		if err := everything(t, cfg); err != nil {
			t.Error(err)
		}
		if list := refusals(t); len(list) > 0 {
			t.Errorf("was refused: %v", list)
		}
	})
	t.Run("nothing else", func(t *testing.T) {
		cl := driver.NewClient(&driver.Options{Addr: cfg.Addr, Username: cfg.Username, Password: cfg.Password})
		defer func() { _ = cl.Close() }()
		for _, c := range []string{
			"KEYS *", "SCAN 0", "FLUSHALL", "FLUSHDB", "CONFIG GET *", "EVAL return(1) 0", "ACL WHOAMI", "SHUTDOWN", "PUBLISH skalds:x y",
			"SUBSCRIBE skalds:x", "GET other", "SET other 1", "HSET others f v", "HGETALL session:1", "DEL other", "RENAME skalds:x other", "MONITOR", "CLIENT LIST",
			"REPLICAOF NO ONE", "DBSIZE", "RANDOMKEY", "OBJECT HELP", "MULTI", "SWAPDB 0 1", "MIGRATE h 1 skalds:x 0 1", "SORT skalds:x STORE skalds:y",
		} {
			var words []any
			for _, w := range strings.Fields(c) {
				words = append(words, w)
			}
			if err := cl.Do(t.Context(), words...).Err(); !driver.HasErrorPrefix(err, "NOPERM") {
				t.Errorf("%s: %v, want NOPERM", c, err)
			}
		}
	})
	t.Run("each is needed", func(t *testing.T) {
		for i, rule := range rules {
			name, _ := rule.(string)
			optional := []string{"resetkeys", "resetchannels", "-@all"} // as a user is made
			if slices.Contains(optional, name) {
				continue
			}
			must(t, admin.ACLLogReset(t.Context()).Err())
			less := slices.Delete(slices.Clone(rules), i, i+1)
			if err := everything(t, user(t, "less", less)); err == nil && len(refusals(t)) == 0 {
				t.Errorf("without %s all works, too", name)
			}
		}
	})
	t.Run("the error says so", func(t *testing.T) {
		without := slices.DeleteFunc(slices.Clone(rules), func(r any) bool { return r == "+hset" })
		err := openBeats(t, user(t, "less", without)).Beat(t.Context(), heartbeat(), time.Minute)
		if err == nil || !strings.Contains(err.Error(), "docs/operations.md") {
			t.Errorf("a heartbeat of a user who may not write: %v", err)
		}
	})
}

// everything does once all that hosts and controllers do.
func everything(t testing.TB, cfg redis.Config) error {
	t.Helper()
	ctx := t.Context()
	s, c := redis.NewHeartbeatStore(cfg, nil), redis.NewCache(cfg)
	defer func() { must(t, c.Close()); must(t, s.Close()) }()
	none := heartbeat()
	none.NodeID, none.Classes = "n2", nil
	var first error
	for _, do := range []func() error{
		func() error { return s.Ping(ctx) },
		func() error { return s.Beat(ctx, heartbeat(), time.Minute) },
		func() error { return s.Beat(ctx, none, time.Minute) },
		func() error { _, err := s.Heartbeats(ctx); return err },
		func() error { _, _, _, err := s.PeekSeq(ctx, "n1"); return err },
		func() error { return s.TaskEnded(ctx, "a", skalds.Failed, "it broke") },
		func() error { return s.Announce(ctx, skalds.ControllerInfo{ID: "c"}, time.Minute) },
		func() error { _, err := s.Controllers(ctx); return err },
		func() error { return s.Withdraw(ctx, "c") },
		func() error { return s.Forget(ctx, "n1") },
		func() error { _, err := s.OriginalNodes(ctx); return err },
		func() error { _, err := s.OriginalTasks(ctx, []string{"a"}); return err },
		func() error { return s.ForgetOriginalTasks(ctx, "a") },
		func() error { return c.Set(ctx, "t/k", []byte("v"), 0) },
		func() error { _, _, err := c.Get(ctx, "t/k"); return err },
		func() error { return c.Delete(ctx, "t/k") },
	} {
		if err := do(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
