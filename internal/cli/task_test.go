package cli_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/controllertest"
)

func TestCreateAndWait(t *testing.T) {
	w := start(t)
	w.run(t, "task", "create", "Demo", "--id", "a", "--set", "n=3", "--wait").check(t, 0, "…task a is Finished after ", "")
	w.run(t, "task", "wait", "a").check(t, 0, "…task a is Finished", "")
	w.run(t, "task", "wait", "a", "-o", "name").check(t, 0, "a\n", "")
	w.run(t, "task", "wait", "a", "--for", "running").check(t, 0, "…task a is Finished", "")
	w.run(t, "task", "wait", "a", "--for", "Paused").check(t, 1, "…task a is Finished", "skalds: task a has Finished and was not seen Paused\n")
	made := decode[api.TaskResponse](t, w.run(t, "task", "create", "Demo", "-o", "json", "--wait"))
	if made.LifecycleStatus != skalds.Finished || made.ID == "" {
		t.Errorf("json shows %+v", made)
	}
	w.run(t, "task", "create", "Demo", "--id", "b", "-o", "name").check(t, 0, "b\n", "")
	w.run(t, "task", "create", "Demo", "--id", "b").check(t, 5, "", "…b")
	w.run(t, "task", "create", "Demo", "--id", "k", "--idempotency-key", "1").check(t, 0, "task k created\n", "")
	w.run(t, "task", "create", "Demo", "--id", "k", "--idempotency-key", "1").check(t, 0, "task k created\n", "")
}

func TestWaitFailsWithTheTask(t *testing.T) {
	w := start(t)
	w.Host.Behave = func(skalds.Command, int) controllertest.Plan {
		return controllertest.Plan{Exit: skalds.Exit{Kind: skalds.ExitSignal, Code: -1, Signal: "killed", Message: "out of luck", Permanent: true}}
	}
	w.run(t, "task", "create", "Demo", "--id", "a", "--max-attempts", "1", "--wait").check(t, 1, "…task a is Failed",
		"skalds: task a has Failed: signal (killed): out of luck (no retry can cure it) (`skalds task attempts a` tells more)\n")
	w.run(t, "task", "create", "Demo", "--id", "b", "--max-attempts", "1").check(t, 0, "task b created\n", "")
	many := decode[struct{ Items []api.TaskResponse }](t, w.run(t, "task", "wait", "a", "b", "-o", "json"))
	if len(many.Items) != 2 || many.Items[0].ID != "a" || many.Items[1].LifecycleStatus != skalds.Failed {
		t.Errorf("waited for %+v", many)
	}
	w.run(t, "task", "wait", "a", "b", "nope").check(t, 1, "…task b is Failed", "…nope")
}

func TestWaitGivesUp(t *testing.T) {
	w := start(t)
	w.run(t, "task", "create", "Demo", "--id", "a", "--constraint", "gpu").check(t, 0, "task a created\n", "")
	w.run(t, "task", "wait", "a", "--timeout", "300ms").check(t, 7, "", "…the time is over and task a is still Created")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.runIn(t, ctx, "task", "wait", "a").check(t, 130, "", "skalds: interrupted\n")
	w.run(t, "task", "cancel", "a").check(t, 0, "task a cancelled\n", "")
	w.run(t, "task", "wait", "a").check(t, 1, "…task a is Cancelled", "skalds: task a has been Cancelled\n")
}

func TestEveryFieldReachesTheTask(t *testing.T) {
	w := start(t)
	w.Host.Behave = controllertest.ForEver
	got := decode[api.TaskResponse](t, w.run(t, "task", "create", "Demo", "-o", "json", "--id", "a", "--name", "A", "--description", "about", "--version", "^1",
		"--priority", "7", "--persistent", "--cpu", "500m", "--memory", "128MiB", "--limit-cpu", "1.5", "--limit-memory", "1GiB", "--limit-pids", "20", "--limit-io-weight", "50",
		"--max-attempts", "5", "--oom-attempts", "4", "--oom-factor", "2.5", "--oom-max-memory", "4GiB", "--timeout-queue", "1h", "--timeout-start", "5s", "--timeout-run", "2h", "--timeout-stall", "10s",
		"--isolate-user", "1000:1000", "--isolate-ns", "pid,net", "--read-only", "/data", "--read-only", "/a,b", "--read-write", "/var/tmp/x", "--no-new-privileges",
		"--on-disconnect", "keep", "--label", "a=b", "--label", "c=d=e", "--constraint", "arch!=arm64", "--attachments", `{"n":1}`, "--set", "url=rtsp://h/1", "--set", "camera.x.y=2"))
	second := skalds.Duration(1e9)
	want := api.TaskResponse{
		ID: "a", Name: "A", Description: "about", RequestedVersion: "^1", Priority: 7, IsPersistent: true,
		Resources: skalds.Resources{CPUCores: 0.5, MemoryBytes: 128 << 20}, Limits: skalds.Limits{CPUCores: 1.5, MemoryBytes: 1 << 30, PIDs: 20, IOWeight: 50},
		Timeouts:     skalds.Timeouts{Queue: 3600 * second, Start: 5 * second, Run: 7200 * second, Stall: 10 * second},
		OnDisconnect: skalds.OnDisconnectKeep,
	}
	if got.ID != want.ID || got.Name != want.Name || got.Description != want.Description || got.RequestedVersion != want.RequestedVersion ||
		got.Priority != want.Priority || got.IsPersistent != want.IsPersistent || got.Resources != want.Resources || got.Limits != want.Limits ||
		got.Timeouts != want.Timeouts || got.OnDisconnect != want.OnDisconnect || got.Retry.MaxAttempts != 5 ||
		got.Retry.OOM == nil || *got.Retry.OOM != (skalds.OOMRetry{MaxAttempts: 4, Factor: 2.5, MaxMemoryBytes: 4 << 30}) {
		t.Errorf("got %+v", got)
	}
	if got.Labels["a"] != "b" || got.Labels["c"] != "d=e" || !slices.Equal(got.Constraints, []string{"arch!=arm64"}) {
		t.Errorf("labels %v, constraints %v", got.Labels, got.Constraints)
	}
	isolation := skalds.Isolation{
		User: "1000:1000", Namespaces: []skalds.Namespace{skalds.NamespacePID, skalds.NamespaceNet}, NoNewPrivileges: true,
		Paths: &skalds.Paths{ReadOnly: []string{"/data", "/a,b"}, ReadWrite: []string{"/var/tmp/x"}},
	}
	if diff := cmp.Diff(isolation, got.Isolation); diff != "" {
		t.Error(diff)
	}
	if s := compact(t, got.Attachments); s != `{"camera":{"x":{"y":2}},"n":1,"url":"rtsp://h/1"}` {
		t.Errorf("attachments %s", s)
	}
}

func compact(t *testing.T, doc json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestATaskFromAFile(t *testing.T) {
	w := start(t)
	w.Host.Behave = controllertest.ForEver
	dir := t.TempDir()
	file := filepath.Join(dir, "task.json")
	write(t, file, `{"className":"Demo","id":"a","attachments":{"n":12345678901234567890},"limits":{"pids":3}}`)
	w.run(t, "task", "create", "-f", file, "--id", "b", "--set", "url=x", "--limit-cpu", "1").check(t, 0, "task b created\n", "")
	got := decode[api.TaskResponse](t, w.run(t, "task", "get", "b", "-o", "json"))
	if got.Limits != (skalds.Limits{CPUCores: 1, PIDs: 3}) || !strings.Contains(string(got.Attachments), "12345678901234567890") {
		t.Errorf("made %+v with %s", got.Limits, got.Attachments)
	}
	s := w.shell
	s.in = `{"className":"Demo","id":"c","prio":1}`
	s.run(t, "task", "create", "-f", "-").check(t, 3, "", "…\n  prio: is no field")
	s.in = `{"n":5}`
	s.run(t, "task", "create", "Demo", "--id", "d", "--attachments", "-").check(t, 0, "task d created\n", "")
	write(t, file, "{\n  \"n\": 1,\n  \"ü\": x\n}")
	w.run(t, "task", "create", "Demo", "--attachments", "@"+file).check(t, 2, "", "…skalds: --attachments: "+file+": line 3, column 8: invalid character 'x'")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestChangesAndRecords(t *testing.T) {
	w := start(t)
	w.Host.Behave = controllertest.ForEver
	for _, id := range []string{"a", "b"} {
		w.run(t, "task", "create", "Demo", "--id", id, "--set", "n=1", "--set", "url=rtsp://u:geheim@h/1", "--label", "x="+id).check(t, 0, "task "+id+" created\n", "")
		w.running(t, id)
	}
	w.run(t, "task", "pause", "a", "b").check(t, 0, "task a to be paused\ntask b to be paused\n", "")
	w.run(t, "task", "wait", "a", "b", "--for", "Paused", "--timeout", "30s").check(t, 0, "…task a is Paused", "")
	w.run(t, "task", "resume", "a", "nope", "b").check(t, 4, "task a to go on\ntask b to go on\n", "…nope")
	w.run(t, "task", "wait", "a", "b", "--for", "Running", "--timeout", "30s").check(t, 0, "…task b is Running", "")

	w.run(t, "task", "update", "a", "--set", "n=2").check(t, 0, "…task a has new attachments (revision ", "")
	got := decode[api.TaskAttachments](t, w.run(t, "task", "update", "a", "--set", "camera.id=7", "-o", "json"))
	if s := compact(t, got.Attachments); s != `{"camera":{"id":7},"n":2,"url":"rtsp://u:***@h/1"}` {
		t.Errorf("merged into %s", s)
	}
	w.run(t, "task", "update", "b", "--attachments", `{"n":9}`, "--set", "n=10", "-o", "name").check(t, 0, "b\n", "")
	if b := decode[api.TaskResponse](t, w.run(t, "task", "get", "b", "-o", "json")); compact(t, b.Attachments) != `{"n":10}` {
		t.Errorf("replaced by %s", b.Attachments)
	}
	w.Until(t, "the node has the whole password", func() bool {
		for _, m := range w.Host.Received() {
			if m.Command != nil && m.Command.Spec != nil && strings.Contains(string(m.Command.Spec.Attachments), `"id":7`) {
				return strings.Contains(string(m.Command.Spec.Attachments), "u:geheim@")
			}
		}
		return false
	})
	w.run(t, "task", "update", "a", "--set", "n=x").check(t, 3, "", "…\n  attachments.n: ")

	w.run(t, "task", "get", "a").check(t, 0, "…  pid 4711, for ", "")
	w.run(t, "task", "get", "a", "-o", "wide").check(t, 0, "…    \"url\": \"rtsp://u:***@h/1\"\n", "")
	w.run(t, "task", "list", "--state", "running", "--label", "x=b", "-o", "name").check(t, 0, "b\n", "")
	w.run(t, "task", "list", "--class", "Demo", "--node", "node-1", "--id-contains", "A", "-o", "name").check(t, 0, "a\n", "")
	w.run(t, "task", "list", "--node", "other").check(t, 0, "", "no tasks\n")
	w.Until(t, "usage has a history", func() bool { return strings.Contains(w.run(t, "task", "usage", "a").out, "0.25  8 MiB") })
	w.run(t, "task", "recordings", "a").check(t, 0, "", "no recordings yet\n")
	w.run(t, "task", "recordings", "a", "-o", "json").check(t, 0, "{\n  \"items\": []\n}\n", "")
	w.run(t, "task", "why", "a").check(t, 0, "…runs it", "")
	if e := decode[controller.Explanation](t, w.run(t, "task", "why", "a", "-o", "json")); e.Executor != "node-1" || len(e.Candidates) != 1 {
		t.Errorf("why shows %+v", e)
	}

	w.run(t, "task", "cancel", "a", "b", "-o", "name").check(t, 0, "a\nb\n", "")
	w.run(t, "task", "update", "a", "--set", "n=3").check(t, 5, "", "…a")
	w.Until(t, "the attempt is kept", func() bool { return strings.Contains(w.run(t, "task", "attempts", "a").out, "cancelled") })
	w.run(t, "task", "attempts", "a", "-o", "wide").check(t, 0, "…  cancelled\nLast log lines\n  last words of a\n", "")
	w.run(t, "task", "retry", "a").check(t, 0, "task a to run again\n", "")
	w.run(t, "task", "cancel", "a", "b", "-o", "json").check(t, 0, "…\"items\": [\n", "")
}

func TestLists(t *testing.T) {
	w := start(t)
	w.Host.Behave = controllertest.ForEver
	for _, id := range []string{"a", "b", "c"} {
		w.run(t, "task", "create", "Demo", "--id", id, "--constraint", "gpu").check(t, 0, "task "+id+" created\n", "")
	}
	cut := w.run(t, "task", "list", "--limit", "2", "-o", "name")
	if len(strings.Fields(cut.out)) != 2 || cut.err != "2 of 3 tasks shown: --all shows all\n" {
		t.Errorf("cut to %+v", cut)
	}
	if all := w.run(t, "task", "list", "--all", "-o", "name"); len(strings.Fields(all.out)) != 3 || all.err != "" {
		t.Errorf("all are %+v", all)
	}
	if l := decode[api.TaskList](t, w.run(t, "task", "list", "-o", "json")); l.Total != 3 || len(l.Items) != 3 {
		t.Errorf("json lists %+v", l)
	}
	w.Until(t, "it is known why they wait", func() bool { return strings.Contains(w.run(t, "task", "list", "-o", "wide").out, "gpu") })
}
