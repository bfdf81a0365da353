package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/controllertest"
	"github.com/skalds-go/skalds/internal/cli"
	"github.com/skalds-go/skalds/internal/client"
)

// shell runs commands as cmd/skalds does.
type shell struct {
	env   map[string]string
	in    string
	now   time.Time
	build string // of this program
}

// result is what a command left behind.
type result struct {
	out, err string
	code     int
}

func (s shell) run(t *testing.T, args ...string) result {
	t.Helper()
	return s.runIn(t, t.Context(), args...)
}

func (s shell) runIn(t *testing.T, ctx context.Context, args ...string) result {
	t.Helper()
	var out, err output
	e := cli.Env{In: strings.NewReader(s.in), Out: &out, Err: &err, Getenv: func(k string) string { return s.env[k] }, Version: s.build}
	e.Isolation = func() skalds.NodeAbilities {
		return skalds.NodeAbilities{skalds.AbilityLandlock: "", skalds.AbilityUID: "only root can change users"}
	}
	if !s.now.IsZero() {
		e.Now = func() time.Time { return s.now }
	}
	root := &cobra.Command{Use: "skalds"}
	cli.AddFlags(root, e)
	root.AddCommand(cli.Commands(e)...)
	root.SetArgs(args)
	fault := root.ExecuteContext(ctx)
	cli.PrintError(&err, fault)
	return result{out.String(), err.String(), cli.ExitCode(fault)}
}

// output is a buffer that can be read while a command writes to it.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// check says what of a result is not as it should be. Texts beginning with "…" may stand anywhere, others are all there is.
func (r result) check(t *testing.T, code int, out, err string) {
	t.Helper()
	if r.code != code || !fits(r.out, out) || !fits(r.err, err) {
		t.Errorf("exit code %d, want %d\nout: %s\nwant: %s\nerr: %s\nwant: %s", r.code, code, r.out, out, r.err, err)
	}
}

func fits(got, want string) bool {
	if part, ok := strings.CutPrefix(want, "…"); ok {
		return strings.Contains(got, part)
	}
	return got == want
}

// world is a controller with one node, and a shell and a client that know it.
type world struct {
	*controllertest.World
	shell
	cl *client.Client
}

func start(t *testing.T) world {
	t.Helper()
	w := controllertest.NewWorld(t, controllertest.WorldConfig{Version: "1.2.3", Token: "geheim", Worker: skalds.WorkerInfo{
		Name: "demo", Version: "1.0.0", Digest: "sha256:0123456789abcdef0123456789abcdef", Protocol: 1, Classes: []skalds.ClassInfo{{
			ClassName: "Demo", Capabilities: []string{"update"},
			Schema: json.RawMessage(`{"type":"object","properties":{"url":{"type":"string"},"n":{"type":"integer"},"camera":{"type":"object"}},"additionalProperties":false}`),
		}},
	}})
	cl := client.New(w.URL, "geheim")
	t.Cleanup(func() {
		if err := cl.Close(); err != nil {
			t.Error(err)
		}
	})
	return world{w, shell{env: map[string]string{"SKALDS_SERVER": w.URL, "SKALDS_TOKEN": "geheim"}}, cl}
}

// running waits until a task runs and was measured.
func (w world) running(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := w.cl.WaitFor(ctx, id, func(r api.TaskResponse) bool { return r.LifecycleStatus == skalds.Running && r.Usage != nil })
	if err != nil {
		t.Fatalf("%v; the task is %+v", err, got)
	}
}

// decode reads the one JSON document that a command printed.
func decode[T any](t *testing.T, r result) (v T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(r.out))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("printed %q (%s): %v", r.out, r.err, err)
	}
	if d.More() {
		t.Fatalf("more than one document: %s", r.out)
	}
	return v
}
