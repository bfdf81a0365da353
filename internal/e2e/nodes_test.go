package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

func on(label string) func(*api.CreateTask) {
	return func(c *api.CreateTask) { c.Constraints = []string{label} }
}

// TestJoin brings a second host in, before and after a restart of the standalone, and loses it.
func TestJoin(t *testing.T) {
	dir := t.TempDir()
	p := standalone(t, dir)
	start(t, dir, "host", "--mode", "node", "--join", filepath.Join(dir, "join.json"), "--data-dir", filepath.Join(dir, "second"),
		"--node-id", "second", "--labels", "zone=b")
	p.until("the second node is online", func(ctx context.Context) bool {
		n, err := p.Node(ctx, "second")
		return err == nil && n.Status == "online"
	})
	p.create(task("there", "wait", on("zone=b")))
	if r := p.runs("there"); r.Executor == nil || *r.Executor != "second" {
		t.Fatalf("it runs on %v", r.Executor)
	}
	before := p.runs("there").Instance.PID

	p.kill()
	p = standalone(t, dir)
	p.until("the second node is back", func(ctx context.Context) bool {
		n, err := p.Node(ctx, "second")
		return err == nil && n.Status == "online"
	})
	if r := p.runs("there"); r.Instance.PID != before {
		t.Errorf("its process was exchanged: %d, then %d", before, r.Instance.PID)
	}
	p.create(task("there-too", "finish", on("zone=b")))
	if r := p.ends("there-too"); r.LifecycleStatus != skalds.Finished {
		t.Errorf("it is %s", r.LifecycleStatus)
	}
}

// TestLostNode kills a host that does not come back: after its lease the tasks run elsewhere, and cost nothing.
func TestLostNode(t *testing.T) {
	t.Setenv("SKALDS_LEASE", "3s")
	dir := t.TempDir()
	p := standalone(t, dir)
	second := start(t, dir, "host", "--mode", "node", "--join", filepath.Join(dir, "join.json"), "--data-dir", filepath.Join(dir, "second"),
		"--node-id", "second", "--labels", "zone=b")
	p.until("the second node is online", func(ctx context.Context) bool {
		n, err := p.Node(ctx, "second")
		return err == nil && n.Status == "online"
	})
	p.create(task("moves", "wait", func(c *api.CreateTask) { c.Constraints = []string{"zone!=x"} }))
	p.create(task("stays", "wait", on("zone=b")))
	p.runs("stays")
	first := p.runs("moves")
	second.kill()
	p.becomes("stays", "waits for a node", func(r api.TaskResponse) bool {
		return r.LifecycleStatus == skalds.Created && r.Waiting != "" && r.BudgetUsed == 0
	})
	why, err := p.Why(t.Context(), "stays")
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", why); !strings.Contains(text, "zone") || !strings.Contains(text, "second") {
		t.Errorf("why says %s", text)
	}
	if *first.Executor == "second" {
		if r := p.becomes("moves", "runs elsewhere", func(r api.TaskResponse) bool {
			return r.Executor != nil && *r.Executor != "second" && r.Instance != nil
		}); r.BudgetUsed != 0 {
			t.Errorf("the loss of a node cost %d attempts", r.BudgetUsed)
		}
	}
	n, err := p.Node(t.Context(), "second")
	if err != nil || n.Status == "online" {
		t.Errorf("node second is %q, %v", n.Status, err)
	}
}

// TestFrozenHost freezes a host: its workers are killed in its place and its tasks run elsewhere, long before its lease is
// over. When it is awake it begins none of them again, also none that it was to keep.
func TestFrozenHost(t *testing.T) {
	t.Setenv("SKALDS_LEASE", "60s") // which would be too long to wait for
	dir := t.TempDir()
	p := standalone(t, dir)
	hosts := map[string]*program{}
	for _, id := range []string{"second", "third"} {
		hosts[id] = start(t, dir, "host", "--mode", "node", "--join", filepath.Join(dir, "join.json"), "--data-dir", filepath.Join(dir, id),
			"--node-id", id, "--labels", "zone=b")
	}
	p.until("both are online", func(ctx context.Context) bool {
		nodes, err := p.Nodes(ctx, "", "online")
		return err == nil && len(nodes.Items) == 3
	})
	p.create(task("moves", "wait", on("zone=b")))
	first := p.runs("moves")
	p.create(task("kept", "wait", on("zone=b"), func(c *api.CreateTask) { c.OnDisconnect = skalds.OnDisconnectKeep }))
	kept := p.runs("kept")
	host := hosts[*first.Executor]
	if err := host.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	elsewhere := func(was api.TaskResponse) api.TaskResponse {
		return p.becomes(was.ID, "runs elsewhere", func(r api.TaskResponse) bool {
			return r.LifecycleStatus == skalds.Running && *r.Executor != *first.Executor && r.Instance != nil && r.Instance.PID != was.Instance.PID
		})
	}
	moved := map[string]api.TaskResponse{"moves": elsewhere(first)}
	p.wait("the older process is dead, while its host stands still", func() bool { return syscall.Kill(first.Instance.PID, 0) != nil })
	if *kept.Executor == *first.Executor {
		moved["kept"] = elsewhere(kept)
	}
	if err := host.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.until("its node is back", func(ctx context.Context) bool {
		n, err := p.Node(ctx, *first.Executor)
		return err == nil && n.Status == "online"
	})
	p.create(task("later", "finish", on("zone=b")))
	p.ends("later")
	for id, second := range moved {
		if r := p.runs(id); *r.Executor != *second.Executor || r.Instance.PID != second.Instance.PID || r.BudgetUsed != 0 {
			t.Errorf("%s runs on %s in %d, %d failures counted", id, *r.Executor, r.Instance.PID, r.BudgetUsed)
		}
	}
	begun := regexp.MustCompile(`runner: running: .*task_id=moves `)
	if log := host.log.String(); !strings.Contains(log, "stood still") || len(begun.FindAllString(log, -1)) != 1 {
		t.Errorf("the host says\n%s", log)
	}
}

// TestNodesAsProcesses runs three hosts in processes of their own and kills one.
func TestNodesAsProcesses(t *testing.T) {
	dir := t.TempDir()
	p := standalone(t, dir, "--nodes", "3")
	var total float64
	p.until("three nodes are online", func(ctx context.Context) bool {
		nodes, err := p.Nodes(ctx, "", "online")
		if err != nil || len(nodes.Items) != 3 {
			return false
		}
		total = 0
		for _, n := range nodes.Items {
			if n.Capacity == nil {
				return false
			}
			total += n.Capacity.CPUCores
		}
		return true
	})
	if cores := machineCores(); total < cores*0.99 || total > cores*1.01 {
		t.Errorf("the nodes have %.2f cores together, the machine %.2f", total, cores)
	}
	const n = 12
	for i := range n {
		p.create(task(fmt.Sprintf("n%d", i), "wait"))
	}
	for i := range n {
		p.runs(fmt.Sprintf("n%d", i))
	}
	hosts := processesWith(t, "--data-dir "+filepath.Join(dir, "nodes", "2")+" ")
	if len(hosts) != 1 {
		t.Fatalf("%d processes of node 2", len(hosts))
	}
	killPID(t, hosts[0])
	for i := range n {
		r := p.runs(fmt.Sprintf("n%d", i))
		if r.BudgetUsed != 0 {
			t.Errorf("%s: the death of its host cost %d attempts", r.ID, r.BudgetUsed)
		}
	}
	// The whole program is killed: the other hosts go with it, and their workers.
	p.kill()
	waitGone(t)
}

// TestNodesShareNoWorkersFile names the workers file in each way in which the hosts' processes get it too: only the first
// of them runs it.
func TestNodesShareNoWorkersFile(t *testing.T) {
	workers := filepath.Join(t.TempDir(), "workers.yml")
	writeFile(t, workers, "TaskWorkers:\n  a:\n    className: Script\n    attachments: {do: wait}\n  b:\n    className: Script\n    attachments: {do: wait}\n", 0o644)
	settings := filepath.Join(t.TempDir(), "settings.yml")
	writeFile(t, settings, "yaml_file: "+workers+"\n", 0o600)
	for name, tt := range map[string]struct {
		variable string
		args     []string
	}{
		"flag":          {args: []string{"--workers", workers}},
		"settings file": {args: []string{"--config", settings}},
		"variable":      {variable: workers},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("YAML_FILE", tt.variable)
			dir := t.TempDir()
			p := standalone(t, dir, append(tt.args, "--nodes", "2")...)
			p.until("two nodes are online", func(ctx context.Context) bool {
				nodes, err := p.Nodes(ctx, "", "online")
				return err == nil && len(nodes.Items) == 2
			})
			first, err := os.ReadFile(filepath.Join(dir, "host", "node-id"))
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"a", "b"} {
				if r := p.runs(id); *r.Executor != strings.TrimSpace(string(first)) {
					t.Errorf("task %s runs on %s, the first node is %s", id, *r.Executor, first)
				}
			}
			if code := p.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if n := strings.Count(p.log.String(), "workers file read"); n != 1 || strings.Contains(p.log.String(), "[ERROR]") {
				t.Errorf("%d hosts have read the workers file, or one complains\n%s", n, p.log.String())
			}
		})
	}
}
