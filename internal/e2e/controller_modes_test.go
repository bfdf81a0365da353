package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/embedded"
	"github.com/skalds-go/skalds/internal/testlog"
)

// servedAt gets a path without following where it leads.
func servedAt(t testing.TB, url string, into any) (code int, location string) {
	t.Helper()
	c := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if into != nil {
		if err := json.NewDecoder(r.Body).Decode(into); err != nil {
			t.Errorf("GET %s: %v", url, err)
		}
	}
	return r.StatusCode, r.Header.Get("Location")
}

// TestControllerModes runs one controller after the other over the same tasks, in each mode: what it serves, whether it may lead,
// and what becomes of a task that is given to it.
func TestControllerModes(t *testing.T) {
	servers, err := embedded.Start(t.Context(), embedded.Config{DataDir: t.TempDir(), Log: testlog.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	j, data := servers.Join(), t.TempDir()
	env := []string{
		"KAFKA_HOST=" + strings.Join(j.KafkaBrokers, ","), "KAFKA_USERNAME=" + j.KafkaUser, "KAFKA_PASSWORD=" + j.KafkaPassword,
		"REDIS_HOST=" + j.RedisAddr, "REDIS_PASSWORD=" + j.RedisPassword, "SKALDS_DATA_DIR=" + data, "SKALDS_LEASE=6s",
	}
	inCluster(t, env, "host", "--mode", "node", "--data-dir", t.TempDir())
	for _, mode := range []struct {
		name        string
		page, leads bool
		waits       []string // the tasks that are known to wait when it comes
	}{
		{name: "DISPATCHER", page: true, leads: true}, // the default
		{name: "MONITOR", page: true, leads: false},
		{name: "CONTROLLER", page: false, leads: false},
		{name: "DISPATCHER", page: true, leads: true, waits: []string{"of-MONITOR", "of-CONTROLLER"}},
	} {
		t.Run(mode.name, func(t *testing.T) {
			own := env
			if mode.name != "DISPATCHER" {
				own = append(slices.Clone(env), "SYSTEM_CONTROLLER_MODE="+mode.name)
			}
			c := aController(t, own)
			defer c.stop()
			if mode.waits == nil && mode.leads {
				c.until("a node offers the workers", func(ctx context.Context) bool {
					workers, err := c.Workers(ctx)
					return err == nil && len(workers.Items) == 2
				})
			}
			code, to := servedAt(t, c.url()+"/", nil)
			page, _ := servedAt(t, c.url()+"/dashboard", nil)
			var root struct {
				Mode      string
				Endpoints map[string]*string
			}
			servedAt(t, c.url()+"/api", &root)
			if mode.page && (code != http.StatusFound || to != "/dashboard" || page != http.StatusOK || root.Endpoints["dashboard"] == nil) {
				t.Errorf("/ is answered by %d to %q, the page by %d, as endpoints %v", code, to, page, root.Endpoints)
			}
			if !mode.page && (code != http.StatusOK || page != http.StatusNotFound || root.Endpoints["dashboard"] != nil) {
				t.Errorf("/ is answered by %d to %q, the page by %d, as endpoints %v", code, to, page, root.Endpoints)
			}
			var status api.SystemStatus
			servedAt(t, c.url()+"/api/system/status", &status)
			dispatcher := slices.IndexFunc(status.Components, func(p api.SystemComponent) bool { return p.Name == "Dispatcher" })
			if root.Mode != mode.name || status.Mode != mode.name || dispatcher < 0 || status.Components[dispatcher].Running != mode.leads {
				t.Errorf("it says of itself %+v, %+v", root, status)
			}
			id := "of-" + mode.name
			if mode.waits != nil {
				id += "-again"
			}
			c.create(task(id, "finish"))
			if mode.leads {
				for _, id := range append(mode.waits, id) {
					if r := c.ends(id); r.LifecycleStatus != skalds.Finished {
						t.Errorf("%s is %s", id, r.LifecycleStatus)
					}
				}
				return
			}
			// It watches the nodes, all the same: the node is shown as alive, and what waits has a reason.
			c.until("the node is shown as online", func(ctx context.Context) bool {
				list, err := c.Nodes(ctx, "", "")
				return err == nil && len(list.Items) == 1 && list.Items[0].Status == skalds.NodeOnline
			})
			c.until("the health says why nothing is handed out", func(context.Context) bool {
				var h api.SystemHealth
				servedAt(t, c.url()+"/api/system/health", &h)
				return strings.Contains(h.Services["leader"], "no controller leads")
			})
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // much longer than a hand-out takes
				if r, err := c.Task(t.Context(), id); err != nil || r.LifecycleStatus != skalds.Created || r.Executor != nil && *r.Executor != "" {
					t.Fatalf("task %s is %s, executor %v, %v", id, r.LifecycleStatus, r.Executor, err)
				}
			}
			if c.leads() != 0 {
				t.Errorf("it has led: %s", c.log.String())
			}
			if !strings.Contains(c.log.String(), "this controller never leads") {
				t.Error("its log does not say that it never leads")
			}
		})
	}
}

func TestWrongControllerMode(t *testing.T) {
	c := exec.CommandContext(t.Context(), built.skalds, "controller", "--listen", "127.0.0.1:0")
	c.Dir = t.TempDir()
	c.Env = append(c.Environ(), "KAFKA_HOST=127.0.0.1:1", "REDIS_HOST=127.0.0.1:1", "SYSTEM_CONTROLLER_MODE=MONITORS")
	out, err := c.CombinedOutput()
	if code := c.ProcessState.ExitCode(); err == nil || code != 2 || !strings.Contains(string(out), `SYSTEM_CONTROLLER_MODE: "MONITORS" is none of DISPATCHER, MONITOR, CONTROLLER: did you mean MONITOR?`) {
		t.Errorf("exit code %d, %s", code, out)
	}
}
