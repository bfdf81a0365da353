package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/client"
)

// The tests of this file run controllers and hosts over real services, which the environment names; `make test-cluster` starts
// some.

// clusterEnv are settings that name the services, and a database of its own; the test is skipped where none are named.
func clusterEnv(t testing.TB) []string {
	t.Helper()
	env := []string{fmt.Sprintf("DB_NAME=e2e_%d", time.Now().UnixNano()), "SKALDS_LEASE=6s"}
	for from, to := range map[string]string{"SKALDS_TEST_KAFKA": "KAFKA_HOST", "SKALDS_TEST_REDIS": "REDIS_HOST", "SKALDS_TEST_MONGO": "MONGO_HOST"} {
		addr := os.Getenv(from)
		if addr == "" {
			t.Skipf("%s is not set: it names a service that this test may write to; make test-cluster starts some", from)
		}
		env = append(env, to+"="+addr)
	}
	return env
}

// inCluster starts a program of a cluster.
func inCluster(t testing.TB, env []string, args ...string) *program {
	t.Helper()
	cmd := exec.Command(built.skalds, args...)
	cmd.Env = env
	return startCommand(t, t.TempDir(), cmd)
}

var docsAt = regexp.MustCompile(`api=(http://[^/]+)/api/docs`)

// aController starts a controller and returns when it answers.
func aController(t testing.TB, env []string, args ...string) *program {
	t.Helper()
	p := inCluster(t, env, append([]string{"controller", "--listen", "127.0.0.1:0"}, args...)...)
	p.wait("the controller answers", func() bool {
		m := docsAt.FindStringSubmatch(p.log.String())
		if m == nil {
			return false
		}
		p.Client = client.New(m[1], "")
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return p.Live(ctx) == nil
	})
	return p
}

// leads counts how often a controller has begun to lead.
func (p *program) leads() int { return strings.Count(p.log.String(), "this controller leads") }

// ready asks whether a controller says that all is well, somebody leading included.
func ready(url string) bool {
	c := http.Client{Timeout: 2 * time.Second}
	r, err := c.Get(url + "/readyz")
	if err != nil {
		return false
	}
	defer func() { _ = r.Body.Close() }()
	return r.StatusCode == http.StatusOK
}

func (p *program) url() string { return docsAt.FindStringSubmatch(p.log.String())[1] }

// TestClusterLeaders kills, freezes and stops the controller that leads while a task runs, and counts how long nobody led.
// Promised are three seconds after a kill and 0.2 after a stop; asserted is five times that.
func TestClusterLeaders(t *testing.T) {
	env := clusterEnv(t)
	a, b := aController(t, env), aController(t, env)
	inCluster(t, env, "host", "--mode", "node", "--data-dir", t.TempDir())
	a.until("all is ready", func(ctx context.Context) bool {
		workers, err := b.Workers(ctx) // the bus may know of others, of an earlier test
		offered := slices.ContainsFunc(workers.Items, func(w controller.WorkerOnNodes) bool { return w.Name == scriptedName })
		return err == nil && offered && a.leads()+b.leads() == 1 && ready(a.url()) && ready(b.url())
	})
	leader, other := a, b
	if b.leads() == 1 {
		leader, other = b, a
	}
	other.create(task("first", "wait"))
	other.runs("first")

	t.Run("killed", func(t *testing.T) {
		began := time.Now()
		leader.kill()
		other.wait("the other leads", func() bool { return other.leads() == 1 && ready(other.url()) })
		took := time.Since(began)
		t.Logf("led again after %s", took.Round(time.Millisecond))
		if took > 15*time.Second {
			t.Errorf("nobody led for %s, promised are 3s", took)
		}
		other.create(task("after-the-kill", "wait"))
		other.runs("after-the-kill")
	})
	leader, other = other, aController(t, env)
	t.Run("frozen", func(t *testing.T) {
		other.wait("the new one follows", func() bool { return ready(other.url()) })
		if err := leader.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = leader.cmd.Process.Signal(syscall.SIGCONT) })
		other.wait("the other leads", func() bool { return other.leads() == 1 && ready(other.url()) })
		other.create(task("while-frozen", "wait"))
		other.runs("while-frozen")
		if err := leader.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		leader.wait("the thawed one says that it does not lead", func() bool {
			return strings.Contains(leader.log.String(), "this controller does not lead any more") && ready(leader.url())
		})
		if leader.leads() != 1 {
			t.Errorf("the thawed one has led %d times", leader.leads())
		}
	})
	leader, other = other, leader
	t.Run("stopped", func(t *testing.T) {
		led := other.leads()
		began := time.Now()
		if code := leader.stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		other.wait("the other leads", func() bool { return other.leads() == led+1 })
		took := time.Since(began)
		t.Logf("led again %s after the signal", took.Round(time.Millisecond))
		if took > 5*time.Second { // the stop itself, and 0.2 s
			t.Errorf("nobody led for %s", took)
		}
	})
	for _, id := range []string{"first", "after-the-kill", "while-frozen"} {
		other.until(id+" has gone on all the time", func(ctx context.Context) bool {
			v, err := other.Task(ctx, id)
			return err == nil && v.LifecycleStatus == "Running" && v.Epoch == 1 && v.Attempt == 1
		})
	}
}
