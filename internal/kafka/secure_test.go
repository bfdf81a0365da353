package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/testservices"
)

var mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// TestSecure reaches brokers that want a password and have TLS, by every mechanism, and is refused where something is wrong.
func TestSecure(t *testing.T) {
	t.Run("in process", func(t *testing.T) {
		cert, ca := testservices.Authority(t)
		opts := []kfake.Opt{kfake.NumBrokers(1), kfake.EnableSASL(), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})}
		for _, m := range mechanisms {
			opts = append(opts, kfake.Superuser(m, "me", "secret"))
		}
		fake, err := kfake.NewCluster(opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(fake.Close)
		secure(t, func(mechanism string) kafka.Config {
			return kafka.Config{Brokers: fake.ListenAddrs(), User: "me", Password: "secret", Mechanism: mechanism, TLS: true, CAFile: ca}
		})
	})
	t.Run("real", func(t *testing.T) { secure(t, startReal(t).secure) })
}

func secure(t *testing.T, config func(mechanism string) kafka.Config) {
	for i, mechanism := range mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			c, h := controllerEnd(t, config(mechanism)), hostEnd(t, config(mechanism))
			if err := h.Report(t.Context(), skalds.HostMessage{NodeID: "n", Report: &skalds.Report{Seq: int64(i)}}); err != nil {
				t.Fatal(err)
			}
			reports := make(chan skalds.HostMessage, 100)
			reading(t, func(ctx context.Context) error {
				return c.Reports(ctx, "", nil, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m })
			})
			for receive(t, "the report", reports).Report.Seq != int64(i) {
			}
			wrong := config(mechanism)
			wrong.Password = "wrong"
			refused(t, wrong, "our user and password")
			wrong = config(mechanism)
			wrong.User = "nobody"
			refused(t, wrong, "our user and password")
		})
	}
	t.Run("an unknown authority", func(t *testing.T) {
		cfg := config("PLAIN")
		_, cfg.CAFile = testservices.Authority(t)
		refused(t, cfg, "shows a certificate that cannot be trusted")
	})
	t.Run("the system's authorities", func(t *testing.T) {
		cfg := config("PLAIN")
		cfg.CAFile = ""
		refused(t, cfg, "shows a certificate that cannot be trusted")
	})
	t.Run("without TLS", func(t *testing.T) {
		cfg := config("PLAIN")
		cfg.TLS, cfg.CAFile = false, ""
		refused(t, cfg, "")
	})
}

func refused(t *testing.T, cfg kafka.Config, advice string) {
	t.Helper()
	h := hostEnd(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for what, err := range map[string]error{"a ping": h.Ping(ctx), "a report": h.Report(ctx, skalds.HostMessage{NodeID: "n"})} {
		if !errors.Is(err, skalds.ErrUnavailable) || !strings.Contains(err.Error(), advice) || strings.Contains(err.Error(), cfg.Password) {
			t.Errorf("%s: %v, want unavailable and %q", what, err, advice)
		}
	}
}

// TestRights gives a user the rights that the documentation names, but for the topic that all else works without, and takes one
// away.
func TestRights(t *testing.T) {
	r := startReal(t)
	admin := kadm.NewClient(client(t, r.config())) // who may do everything
	rights := func(ops ...kadm.ACLOperation) *kadm.ACLBuilder {
		return kadm.NewACLs().Topics(skalds.TopicCommand, skalds.TopicReport, skalds.TopicHeartbeat, skalds.TopicChanged, skalds.TopicTaskAssign,
			skalds.TopicTaskCancel, skalds.TopicTaskUpdate).ResourcePatternType(kadm.ACLPatternLiteral).Operations(ops...).Allow("User:skalds").AllowHosts()
	}
	// Somebody else's rights on everything: what nobody has rights on is everybody's.
	others := kadm.NewACLs().Topics("*").Groups("*").Clusters().ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpAll).
		Allow("User:other").AllowHosts()
	for _, acls := range []*kadm.ACLBuilder{others, rights(kadm.OpCreate, kadm.OpDescribe, kadm.OpRead, kadm.OpWrite)} {
		made, err := admin.CreateACLs(t.Context(), acls)
		if err != nil || len(made) == 0 {
			t.Fatal("no rights were made", err)
		}
		for _, m := range made {
			if m.Err != nil {
				t.Fatal(m.Err, m.ErrMessage)
			}
		}
	}
	c, h := controllerEnd(t, r.secure("PLAIN")), hostEnd(t, r.secure("PLAIN"))
	reports, commands, ready := make(chan skalds.HostMessage, 10), make(chan skalds.NodeMessage, 10), make(chan int32, 10)
	reading(t, func(ctx context.Context) error {
		return c.Reports(ctx, "", nil, func(_ context.Context, m skalds.HostMessage, _ string) { reports <- m })
	})
	reading(t, func(ctx context.Context) error {
		return h.Commands(ctx, "n", func(p int32) { ready <- p }, func(m skalds.NodeMessage) { commands <- m })
	})
	partition := receive(t, "ready", ready)
	if err := errors.Join(h.Report(t.Context(), skalds.HostMessage{}), h.Report(t.Context(), skalds.HostMessage{NodeID: "n"}), h.Heartbeat(t.Context(), skalds.ShortHeartbeat{NodeID: "n"}),
		c.Send(t.Context(), partition, skalds.NodeMessage{NodeID: "n"}), c.PublishChange(t.Context(), skalds.Change{TaskID: "t"}),
		c.PublishEvent(t.Context(), skalds.TopicTaskAssign, "t", skalds.TaskEvent{TaskIDs: []string{"t"}})); err != nil {
		t.Fatal(err)
	}
	receive(t, "the report after one that nobody can use", reports)
	receive(t, "the command", commands)
	if c.Rejected() != 1 {
		t.Errorf("%d messages were counted that nobody can use, want 1", c.Rejected())
	}
	if _, err := admin.DeleteACLs(t.Context(), rights(kadm.OpWrite)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; { // rights spread by and by
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := h.Report(ctx, skalds.HostMessage{NodeID: "n"})
		cancel()
		if err != nil && strings.Contains(err.Error(), "refuses us: check our user and password, and what they may do there") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("without the right to write: %v", err)
		}
	}
}

func TestAuthorityFiles(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  kafka.Config
		want string
	}{
		{kafka.Config{TLS: true, CAFile: "/nowhere/ca.pem"}, "read the certificate authorities of the brokers (KAFKA_CA_FILE): open /nowhere/ca.pem"},
		{kafka.Config{TLS: true, CAFile: empty}, "has no certificate in it"},
		{kafka.Config{CAFile: empty}, "set KAFKA_TLS=true"},
	} {
		c.cfg.Brokers = []string{"127.0.0.1:1"}
		if _, err := kafka.NewHostBus(c.cfg, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}
