package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	driver "github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/porttest"
	"github.com/skalds-go/skalds/internal/redis"
	"github.com/skalds-go/skalds/internal/testlog"
	"github.com/skalds-go/skalds/internal/testservices"
)

// TestSecure reaches servers that know users and speak TLS, and is refused where something is wrong.
func TestSecure(t *testing.T) {
	t.Run("in process", func(t *testing.T) {
		cert, ca := testservices.Authority(t)
		m := miniredis.NewMiniRedis()
		m.ClockTTL(true)
		must(t, m.StartTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
		t.Cleanup(m.Close)
		m.RequireUserAuth("me", "secret")
		secure(t, redis.Config{Addr: m.Addr(), Username: "me", Password: "secret", TLS: true, CAFile: ca}, startMini(t).Addr())
	})
	t.Run("real", func(t *testing.T) {
		r := startReal(t, "REDIS_KIND=redis8", "SERVICES_SECURE=redis") // Valkey's package has no TLS
		if r.Said("REDIS_TLS_ADDR") == "" {
			t.Skip("this server has no TLS")
		}
		secure(t, redis.Config{
			Addr: r.Said("REDIS_TLS_ADDR"), Username: "skalds", Password: r.Said("REDIS_PASSWORD"), TLS: true, CAFile: r.Said("SERVICES_CA"),
		}, r.Said("REDIS_ADDR"))
	})
}

func secure(t *testing.T, good redis.Config, withoutTLS string) {
	t.Run("heartbeats", func(t *testing.T) {
		porttest.RunHeartbeats(t, func(t testing.TB) porttest.Heartbeats { return redis.NewHeartbeatStore(good, testlog.New(t)) })
	})
	for name, wrong := range map[string]struct {
		change func(c *redis.Config)
		advice string
	}{
		"password":                  {func(c *redis.Config) { c.Password = "wrong" }, "check REDIS_USERNAME and REDIS_PASSWORD"},
		"user":                      {func(c *redis.Config) { c.Username = "nobody" }, "check REDIS_USERNAME and REDIS_PASSWORD"},
		"no password":               {func(c *redis.Config) { c.Username, c.Password = "", "" }, "set REDIS_PASSWORD"},
		"unknown authority":         {func(c *redis.Config) { _, c.CAFile = testservices.Authority(t) }, "shows a certificate that cannot be trusted"},
		"system's":                  {func(c *redis.Config) { c.CAFile = "" }, "shows a certificate that cannot be trusted"},
		"no file":                   {func(c *redis.Config) { c.CAFile = "/nowhere/ca.pem" }, "/nowhere/ca.pem: no such file"},
		"no TLS":                    {func(c *redis.Config) { c.TLS, c.CAFile = false, "" }, "wants no TLS on that port"},
		"TLS with one who does not": {func(c *redis.Config) { c.Addr = withoutTLS }, "speaks TLS on that port"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			wrong.change(&cfg)
			s := openBeats(t, cfg)
			for what, do := range map[string]func() error{
				"a beat":  func() error { return s.Beat(t.Context(), heartbeat(), time.Minute) },
				"reading": func() error { _, err := s.Heartbeats(t.Context()); return err },
				"a ping":  func() error { return s.Ping(t.Context()) },
			} {
				err := do()
				for range 20 { // on a busy machine the time may be over before anything was said
					if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), wrong.advice) {
						break
					}
					err = do()
				}
				if !errors.Is(err, skalds.ErrUnavailable) || !strings.Contains(err.Error(), wrong.advice) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: %v\nwant unavailable and %q", what, err, wrong.advice)
				}
			}
		})
	}
}

// TestSecureCluster has the keys on three real servers that speak TLS to us and among each other, and know users.
func TestSecureCluster(t *testing.T) {
	const slots, members = 16384, 3
	var servers []*real
	for i := range members {
		run := filepath.Join(t.TempDir(), "services")
		if i > 0 { // of one authority and one password
			must(t, os.Mkdir(run, 0o700))
			must(t, os.CopyFS(filepath.Join(run, "tls"), os.DirFS(filepath.Join(servers[0].Folder(), "tls"))))
			password, err := os.ReadFile(filepath.Join(servers[0].Folder(), "password"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(run, "password"), password, 0o600))
		}
		r := startRealIn(t, run, "REDIS_KIND=redis8", "SERVICES_SECURE=redis", // Valkey's package has no TLS
			"REDIS_OPTIONS=--cluster-enabled yes --cluster-node-timeout 2000 --tls-cluster yes")
		if r.Said("REDIS_TLS_ADDR") == "" {
			t.Skip("this server has no TLS")
		}
		servers = append(servers, r)
	}
	cfg := redis.Config{Cluster: true, Username: "skalds", Password: servers[0].Said("REDIS_PASSWORD"), TLS: true, CAFile: filepath.Join(servers[0].Folder(), "tls", "ca.pem")}
	admins := make([]*driver.Client, members)
	var addrs []string
	for i, r := range servers {
		addrs = append(addrs, r.Said("REDIS_TLS_ADDR"))
		admins[i] = driver.NewClient(&driver.Options{Addr: r.Said("REDIS_ADDR"), Password: cfg.Password})
		defer func() { _ = admins[i].Close() }()
		must(t, admins[i].ClusterAddSlotsRange(t.Context(), i*slots/members, (i+1)*slots/members-1).Err())
		must(t, admins[i].Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		_, port, err := net.SplitHostPort(addrs[0])
		must(t, err)
		must(t, admins[i].ClusterMeet(t.Context(), "127.0.0.1", port).Err())
	}
	for _, a := range admins {
		eventually(t, "the members of the cluster know each other", func() bool {
			info := a.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	cfg.Addr = addrs[0] // the others are found by asking
	porttest.RunHeartbeats(t, func(t testing.TB) porttest.Heartbeats { return redis.NewHeartbeatStore(cfg, testlog.New(t)) })
	t.Run("many keys", func(t *testing.T) {
		s := openBeats(t, cfg)
		for i := range 30 { // of all three
			h := busyNode("secure-"+string(rune('a'+i)), 3)
			must(t, s.Beat(t.Context(), h, time.Minute))
		}
		list, err := s.Heartbeats(t.Context())
		if err != nil || len(list) < 30 {
			t.Errorf("%d heartbeats, %v", len(list), err)
		}
		on := 0
		for _, a := range admins {
			if n := a.DBSize(t.Context()).Val(); n > 0 {
				on++
			}
		}
		if on != members {
			t.Errorf("the keys lie on %d of %d servers", on, members)
		}
	})
	t.Run("another authority", func(t *testing.T) {
		wrong := cfg
		_, wrong.CAFile = testservices.Authority(t)
		err := openBeats(t, wrong).Ping(t.Context())
		if !errors.Is(err, skalds.ErrUnavailable) || !strings.Contains(err.Error(), "shows a certificate that cannot be trusted") {
			t.Errorf("%v", err)
		}
	})
}

// TestNewAuthority has a server that gets a certificate of another authority, and a file that follows: nothing is started again.
func TestNewAuthority(t *testing.T) {
	cert, ca := testservices.Authority(t)
	newCert, newCA := testservices.Authority(t)
	serve := func(addr string, cert tls.Certificate) *miniredis.Miniredis {
		m := miniredis.NewMiniRedis()
		must(t, m.StartAddrTLS(addr, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
		t.Cleanup(m.Close)
		return m
	}
	m := serve("127.0.0.1:0", cert)
	s := openBeats(t, redis.Config{Addr: m.Addr(), TLS: true, CAFile: ca})
	must(t, s.Ping(t.Context()))
	addr := m.Addr()
	m.Close()
	serve(addr, newCert)
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be trusted") {
		t.Errorf("a server with a certificate of another authority: %v", err)
	}
	pem, err := os.ReadFile(newCA)
	must(t, err)
	must(t, os.WriteFile(ca, pem, 0o600))
	eventually(t, "the new authority is trusted", func() bool { return s.Ping(t.Context()) == nil })
}

func TestCheck(t *testing.T) {
	for want, cfg := range map[string]redis.Config{
		"":                         {Addr: "a:1,b:2", Cluster: true},
		`"a" is not of the form`:   {Addr: "a"},
		"set REDIS_CLUSTER=true":   {Addr: "a:1,b:2"},
		"has no database 2":        {Addr: "a:1", Cluster: true, DB: 2},
		"set REDIS_TLS=true":       {Addr: "a:1", CAFile: "ca.pem"},
		"/nowhere: no such file":   {Addr: "a:1", TLS: true, CAFile: "/nowhere"},
		"has no certificate in it": {Addr: "a:1", TLS: true, CAFile: "secure_test.go"},
	} {
		err := cfg.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
}
