package mongo_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/faultproxy"
	"github.com/skalds-go/skalds/internal/mongo"
	"github.com/skalds-go/skalds/internal/testlog"
)

// short is the time-out of the stores here, and slack what a busy machine may add to it.
const (
	short = 2 * time.Second
	slack = 8 * time.Second
)

// behind is a store that reaches its server through a proxy.
func behind(t *testing.T) (*mongo.Store, *faultproxy.Proxy) {
	t.Helper()
	addr := uri(t)
	cs, err := connstring.Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	p, err := faultproxy.Start(faultproxy.Config{Target: cs.Hosts[0]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close the proxy: %v", err)
		}
	})
	u, err := url.Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.Addr()
	q := u.Query()
	q.Set("directConnection", "true") // a set names its members past the proxy
	u.RawQuery = q.Encode()
	return open(t, mongo.Config{URI: u.String(), Database: database(t, addr).Name(), Timeout: short}), p
}

// calls are one of each kind.
func calls(s *mongo.Store, id string) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"ping": s.Ping,
		"create": func(ctx context.Context) error {
			_, _, err := s.Create(ctx, task(id))
			return err
		},
		"save": func(ctx context.Context) error { return s.Save(ctx, task(id)) },
		"read": func(ctx context.Context) error {
			_, err := s.Task(ctx, id)
			return err
		},
		"list": func(ctx context.Context) error {
			_, err := s.Tasks(ctx, controller.TaskFilter{})
			return err
		},
		"count": func(ctx context.Context) error {
			_, err := s.CountByState(ctx, "")
			return err
		},
		"lead": func(ctx context.Context) error {
			return s.SaveLeader(ctx, controller.LeaderLease{Term: 7}, controller.LeaderLease{Owner: id, Term: 8})
		},
		"usage": func(ctx context.Context) error {
			return s.PutUsage(ctx, []controller.TaskUsage{{TaskID: id, Samples: []skalds.UsageSample{{At: 5}}}})
		},
		"prune": func(ctx context.Context) error {
			_, err := s.Prune(ctx, 1, 0)
			return err
		},
	}
}

func task(id string) *skalds.Task {
	return &skalds.Task{Spec: skalds.Spec{ID: id, ClassName: "C", Mode: skalds.ModePassive, CreateDateTime: 5}, LifecycleStatus: skalds.Created}
}

// allAway makes each call at once, and expects of each that it says soon that the server is away.
func allAway(t *testing.T, s *mongo.Store) {
	t.Helper()
	var wg sync.WaitGroup
	for name, call := range calls(s, "while away") {
		wg.Go(func() {
			began := time.Now()
			err := call(t.Context())
			if took := time.Since(began); took > short+slack {
				t.Errorf("%s took %v, want at most %v", name, took, short)
			}
			if !errors.Is(err, skalds.ErrUnavailable) {
				t.Errorf("%s: %v, want unavailable", name, err)
			}
		})
	}
	wg.Wait()
}

// comesBack waits until the store works again by itself.
func comesBack(t *testing.T, s *mongo.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for err := s.Ping(ctx); err != nil; err = s.Ping(ctx) {
		if ctx.Err() != nil {
			t.Fatalf("the server is back: %v", err)
		}
	}
	for name, call := range calls(s, t.Name()) {
		if err := call(t.Context()); errors.Is(err, skalds.ErrUnavailable) {
			t.Errorf("%s after the return: %v", name, err)
		}
	}
	if _, err := s.Task(t.Context(), t.Name()); err != nil {
		t.Errorf("what was created after the return: %v", err)
	}
}

func set(t *testing.T, p *faultproxy.Proxy, f faultproxy.Fault) {
	t.Helper()
	if err := p.Set(f); err != nil {
		t.Fatal(err)
	}
}

func TestAServerThatIsAway(t *testing.T) {
	for name, fault := range map[string]faultproxy.Fault{
		"refuses":             {Refuse: true},
		"stalls":              {Stall: true},
		"breaks off at once":  {CutAfter: 1},
		"breaks off half-way": {CutAfter: 300}, // within an answer to the first words of a connection
	} {
		t.Run(name, func(t *testing.T) {
			s, p := behind(t)
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			set(t, p, fault)
			allAway(t, s)
			set(t, p, faultproxy.Fault{})
			comesBack(t, s)
		})
		t.Run(name+" from the start", func(t *testing.T) {
			s, p := behind(t)
			set(t, p, fault)
			allAway(t, s)
			set(t, p, faultproxy.Fault{})
			comesBack(t, s)
		})
	}
}

// TestConnectionsThatBreak cuts each at another place while tasks are made and saved: whoever was told that it was done finds it done.
func TestConnectionsThatBreak(t *testing.T) {
	s, p := behind(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := map[string]int64{}
	failed := 0
	for i := range 24 {
		set(t, p, faultproxy.Fault{CutAfter: int64(700 + 241*i)})
		made := task(t.Name() + string(rune('A'+i)))
		_, created, err := s.Create(t.Context(), made)
		if err == nil && !created {
			t.Errorf("task %d has no idempotency key, and was taken for an earlier one", i)
		}
		if err == nil {
			done[made.ID] = 1
			made.LifecycleStatus = skalds.Cancelled
			if err = s.Save(t.Context(), made); err == nil {
				done[made.ID] = 2
			}
		}
		if err != nil {
			failed++
			if !errors.Is(err, skalds.ErrUnavailable) && !errors.Is(err, skalds.ErrRevision) {
				t.Errorf("task %d: %v, want unavailable", i, err)
			}
		}
	}
	set(t, p, faultproxy.Fault{})
	comesBack(t, s)
	for id, revision := range done {
		got, err := s.Task(t.Context(), id)
		if err != nil || got.Revision < revision {
			t.Errorf("%s was acknowledged at revision %d; stored is %+v, %v", id, revision, got, err)
		}
	}
	t.Logf("%d of 24 failed, %d were acknowledged", failed, len(done))
}

// TestConnectionsThatBreakUnderOthers cuts connections while others are in use or asked for: what was not done for that reason says
// that the server is away, and a record that is kept is kept once.
func TestConnectionsThatBreakUnderOthers(t *testing.T) {
	s, p := behind(t)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	const callers, each = 16, 5
	var failed, told atomic.Int64
	var wg sync.WaitGroup
	working, done := context.WithCancel(t.Context())
	var breaking sync.WaitGroup
	breaking.Go(func() {
		for i := 0; working.Err() == nil; i++ {
			set(t, p, faultproxy.Fault{CutAfter: int64(1500 + 500*(i%4))})
			select {
			case <-time.After(20 * time.Millisecond):
			case <-working.Done():
			}
			p.Reset()
		}
	})
	for caller := range callers {
		wg.Go(func() {
			for i := range each {
				at := int64(caller*each + i + 1)
				for name, call := range map[string]func() error{
					"read": func() error {
						_, err := s.Task(t.Context(), "x")
						return err
					},
					"audit": func() error { return s.Audit(t.Context(), controller.AuditEntry{At: at, TaskID: "audited"}) },
				} {
					err := call()
					if errors.Is(err, skalds.ErrUnavailable) {
						failed.Add(1)
					} else if err != nil && !errors.Is(err, skalds.ErrNotFound) {
						t.Errorf("%s: %v, want unavailable", name, err)
					} else if name == "audit" {
						told.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	done()
	breaking.Wait()
	set(t, p, faultproxy.Fault{})
	comesBack(t, s)
	entries, err := s.Audits(t.Context(), "audited", 2*callers*each)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, e := range entries {
		if seen[e.At] {
			t.Errorf("entry %d is kept twice", e.At)
		}
		seen[e.At] = true
	}
	if len(entries) < int(told.Load()) {
		t.Errorf("%d entries are kept, %d were said to be", len(entries), told.Load())
	}
	t.Logf("%d of %d calls found the server away, %d entries are kept", failed.Load(), 2*callers*each, len(entries))
}

func TestAServerThatIsSlow(t *testing.T) {
	s, p := behind(t)
	set(t, p, faultproxy.Fault{Delay: 20 * time.Millisecond})
	comesBack(t, s)
}

func TestAStoreComesUpBeforeItsServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, mongo.Config{URI: "mongodb://me:hunter2@" + nobody + "/?replicaSet=rs", Timeout: short})
	_, err = s.Queue(t.Context(), 1)
	if !errors.Is(err, skalds.ErrUnavailable) {
		t.Fatalf("nobody listens: %v, want unavailable", err)
	}
	if text := err.Error(); !strings.Contains(text, nobody) || strings.Contains(text, "hunter2") {
		t.Errorf("says %q, want the address and not the password", text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := s.Ping(ctx); err == nil {
		t.Error("asked nobody, with success")
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := s.Task(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("of a caller that has gone: %v", err)
	}
}

func TestURIsThatCannotBeUsed(t *testing.T) {
	for _, uri := range []string{
		"", "localhost:27017", "http://me:hunter2@a/", "mongodb://", "mongodb://me:hunter2@/", "mongodb://me:hunter2@a:port/",
		"mongodb://me:hunter2/3@a:27017/", "mongodb://me:hunter2@a:1/?tlsCertificateKeyFilePassword=hunter2&maxPoolSize=few", "mongodb://me:hunter2@a/?w=0",
	} {
		_, err := mongo.Open(mongo.Config{URI: uri}, testlog.New(t))
		if uri == "mongodb://me:hunter2@a/?w=0" {
			if err != nil {
				t.Errorf("an option that is overruled: %v", err)
			}
			continue
		}
		if !errors.Is(err, skalds.ErrInvalid) {
			t.Errorf("%q: %v, want invalid", uri, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the password is in %q", uri, err)
		}
	}
}

func TestMaskURI(t *testing.T) {
	for uri, want := range map[string]string{
		"mongodb://a:27017/":                              "mongodb://a:27017/",
		"mongodb://a,b,c/?replicaSet=rs":                  "mongodb://a,b,c/?replicaSet=rs",
		"mongodb://root:root@localhost:27017/":            "mongodb://root:***@localhost:27017/",
		"mongodb+srv://me:p%40ss@x.example.com/db?w=1":    "mongodb+srv://me:***@x.example.com/db?w=1",
		"mongodb://me:a@b@c/":                             "mongodb://me:***@c/",
		"mongodb://me:a/b@c/":                             "mongodb://***",
		"me:secret@c":                                     "the address",
		"mongodb://me@c/?tlsCertificateKeyFilePassword=x": "mongodb://me:***@c/?tlsCertificateKeyFilePassword=***",
	} {
		if got := mongo.MaskURI(uri); got != want {
			t.Errorf("%s is shown as %s, want %s", uri, got, want)
		}
	}
}
