package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

// pythonCluster is a controller over real services, a host of ours, and nodes of the Python original beside it.
type pythonCluster struct {
	*program
	t      *testing.T
	python string // interpreter that has skalds 0.3.8
	dir    string
	nodes  map[string]*exec.Cmd
}

// TestPythonNodes needs a Python with skalds 0.3.8, and services that it can use: scripts/test-python-nodes.sh makes both.
func TestPythonNodes(t *testing.T) {
	c := newPythonCluster(t)
	c.node("py-1")
	c.host("go-1")

	t.Run("a host of ours beside it runs its own tasks", func(t *testing.T) {
		c.create(task("ours", "finish"))
		if r := c.ends("ours"); r.LifecycleStatus != skalds.Finished {
			t.Errorf("it is %s: %v", r.LifecycleStatus, r.Exception)
		}
	})
	t.Run("dispatch and update", func(t *testing.T) {
		c.count("runs", 0, -1)
		c.becomes("runs", "runs on the Python node", onNode("py-1"))
		c.wait("it has begun", func() bool { return len(c.diary("runs")) == 1 })
		if _, err := c.UpdateAttachments(t.Context(), "runs", c.attachments("runs", 0, -7), 0); err != nil {
			t.Fatal(err)
		}
		c.wait("its update arrives", func() bool { return strings.Contains(strings.Join(c.diary("runs"), "\n"), "update -7") })
	})
	t.Run("a pause is refused", func(t *testing.T) {
		if r, err := c.Pause(t.Context(), "runs"); err == nil || !strings.Contains(err.Error(), "cannot pause") {
			t.Errorf("paused: %s, %v", r.LifecycleStatus, err)
		}
	})
	t.Run("what it cannot do is not placed there", func(t *testing.T) {
		limited := c.counting("limited", 1, -1)
		limited.Limits = skalds.Limits{MemoryBytes: 64 << 20}
		c.create(limited)
		c.becomes("limited", "waits and says why", func(r api.TaskResponse) bool {
			return r.LifecycleStatus == skalds.Created && strings.Contains(r.Waiting, "is a Python node and cannot hold a task to limits")
		})
	})
	t.Run("cancel", func(t *testing.T) {
		pid := c.pid("runs")
		r, err := c.Cancel(t.Context(), "runs")
		if err != nil || r.LifecycleStatus != skalds.Cancelled || r.Executor != nil {
			t.Fatalf("cancelled as %+v, %v", r, err)
		}
		c.wait("its process is gone", func() bool { return !alive(pid) })
	})
	t.Run("its ends", func(t *testing.T) {
		c.count("finishes", 5, -1)
		c.count("fails", 5, 2)
		if r := c.ends("finishes"); r.LifecycleStatus != skalds.Finished || r.Executor != nil {
			t.Errorf("it is %s on %v: %v", r.LifecycleStatus, r.Executor, r.Exception)
		}
		if r := c.ends("fails"); r.LifecycleStatus != skalds.Failed || r.Exception == nil || !strings.Contains(*r.Exception, "failed at 2, as told") || r.Executor != nil {
			t.Errorf("it is %s on %v: %v", r.LifecycleStatus, r.Executor, r.Exception)
		}
	})
	t.Run("a task of a script is adopted", func(t *testing.T) {
		c.script("scripted", "py-1")
		c.becomes("scripted", "runs", onNode("py-1"))
		if r := c.ends("scripted"); r.LifecycleStatus != skalds.Finished || r.Epoch != 1 {
			t.Errorf("it is %s in epoch %d: %v", r.LifecycleStatus, r.Epoch, r.Exception)
		}
		if n := len(c.diary("scripted")); n != 2 {
			t.Errorf("it ran more than once: %v", c.diary("scripted"))
		}
	})
	t.Run("a worker that is killed", func(t *testing.T) {
		c.counted("killed", 0, -1, 2)
		c.becomes("killed", "runs", onNode("py-1"))
		c.wait("it has begun", func() bool { return len(c.diary("killed")) == 1 })
		killPID(t, c.pid("killed"))
		begun := time.Now()
		c.becomes("killed", "runs again", func(r api.TaskResponse) bool { return onNode("py-1")(r) && r.BudgetUsed == 1 && r.Epoch > 1 })
		t.Logf("runs again after %s", time.Since(begun))
		if _, err := c.Cancel(t.Context(), "killed"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a node that is killed", func(t *testing.T) {
		c.count("moves", 0, -1)
		c.becomes("moves", "runs", onNode("py-1"))
		c.wait("it has begun", func() bool { return len(c.diary("moves")) == 1 })
		pid := c.pid("moves")
		c.node("py-2")
		killPID(t, c.nodes["py-1"].Process.Pid)
		begun := time.Now()
		c.until("the node is known to be lost", func(ctx context.Context) bool {
			n, err := c.Node(ctx, "py-1")
			return err == nil && n.Status == "offline"
		})
		t.Logf("lost after %s", time.Since(begun))
		// Its worker has outlived it and beats: nobody else may run the task.
		if r, err := c.Task(t.Context(), "moves"); err != nil || !onNode("py-1")(r) || !alive(pid) || len(c.diary("moves")) != 1 {
			t.Errorf("the task of a worker that lives is %s on %v, %v", r.LifecycleStatus, r.Executor, err)
		}
		killPID(t, pid)
		begun = time.Now()
		r := c.becomes("moves", "runs elsewhere", onNode("py-2"))
		t.Logf("runs elsewhere after %s", time.Since(begun))
		if r.BudgetUsed != 0 {
			t.Errorf("the loss of a node cost %d attempts", r.BudgetUsed)
		}
		c.wait("it has begun there", func() bool { return len(c.diary("moves")) == 2 })
	})
	t.Run("a node that is stopped", func(t *testing.T) {
		c.node("py-3")
		if err := c.nodes["py-2"].Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if r := c.becomes("moves", "runs on the third node", onNode("py-3")); r.BudgetUsed != 0 {
			t.Errorf("the stop of a node cost %d attempts", r.BudgetUsed)
		}
	})
}

func newPythonCluster(t *testing.T) *pythonCluster {
	t.Helper()
	need := func(name, what string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Skipf("%s is not set: it names %s; scripts/test-python-nodes.sh does all that is needed", name, what)
		}
		return v
	}
	c := &pythonCluster{t: t, python: need("SKALDS_TEST_PYTHON", "a Python interpreter that has skalds 0.3.8"), dir: t.TempDir(), nodes: map[string]*exec.Cmd{}}
	for _, s := range [][2]string{{"KAFKA", need("SKALDS_TEST_KAFKA", "a Kafka 3.9, as host:port")}, {"REDIS", need("SKALDS_TEST_REDIS", "a Redis or Valkey, as host:port")}} {
		host, port, err := net.SplitHostPort(s[1])
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(s[0]+"_HOST", host)
		t.Setenv(s[0]+"_PORT", port)
	}
	t.Setenv("MONGO_HOST", need("SKALDS_TEST_MONGO", "a MongoDB, as a URI"))
	t.Setenv("DB_NAME", fmt.Sprintf("skalds_e2e_%d", os.Getpid()))
	t.Setenv("LOG_PATH", filepath.Join(c.dir, "logs"))
	c.program = start(t, c.dir, "controller", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(c.dir, "controller"))
	page := regexp.MustCompile(`page=(http://[^/]*)/`)
	c.wait("the controller answers", func() bool {
		m := page.FindStringSubmatch(c.log.String())
		if m == nil {
			return false
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		c.Client = client.New(m[1], "")
		return c.Live(ctx) == nil
	})
	return c
}

// online waits for a node.
func (c *pythonCluster) online(id, class string) {
	c.t.Helper()
	c.until("node "+id+" is online", func(ctx context.Context) bool {
		n, err := c.Node(ctx, id)
		return err == nil && n.Status == "online" && n.Greeted && strings.Contains(strings.Join(n.SupportedTasks, " "), class)
	})
}

// host starts a host of ours.
func (c *pythonCluster) host(id string) {
	c.t.Helper()
	start(c.t, c.dir, "host", "--mode", "node", "--node-id", id, "--data-dir", filepath.Join(c.dir, id))
	c.online(id, "Script")
}

// node starts a node of the original; it and its workers end with the test.
func (c *pythonCluster) node(id string) {
	c.t.Helper()
	log, err := os.Create(filepath.Join(c.dir, id+".log"))
	if err != nil {
		c.t.Fatal(err)
	}
	n := c.command("node.py")
	n.Env = append(n.Env, "SKALD_ID="+id)
	n.Stdout, n.Stderr = log, log
	n.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.nodes[id] = n
	exited := make(chan struct{})
	go func() {
		_ = n.Wait() // it is killed
		close(exited)
	}()
	c.t.Cleanup(func() {
		_ = syscall.Kill(-n.Process.Pid, syscall.SIGKILL) // nobody may be left
		<-exited
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && c.t.Failed() {
			c.t.Logf("%s:\n%s", id, tail(string(text), 100))
		}
	})
	c.online(id, "CountWorker")
}

func (c *pythonCluster) command(script string, args ...string) *exec.Cmd {
	c.t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "python", script))
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(c.python, append([]string{path}, args...)...)
	cmd.Dir = c.dir                                                              // no .env
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "TMPDIR="+c.dir) // a killed one leaves folders of its shared memory
	return cmd
}

// script has a script of the original create a task for a node.
func (c *pythonCluster) script(id, node string) {
	c.t.Helper()
	s := c.command("script.py", id, node, c.diaryFile(id))
	s.Env = append(s.Env, "SKALD_ID=script")
	if out, err := s.CombinedOutput(); err != nil {
		c.t.Fatalf("script: %v\n%s", err, tail(string(out), 30))
	}
}

func (c *pythonCluster) diaryFile(id string) string { return filepath.Join(c.dir, id+".diary") }

// diary is what runs of a task have written: node, pid, and what happened.
func (c *pythonCluster) diary(id string) []string {
	text, err := os.ReadFile(c.diaryFile(id))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// pid is the process that wrote last.
func (c *pythonCluster) pid(id string) int {
	c.t.Helper()
	lines := c.diary(id)
	if len(lines) == 0 {
		c.t.Fatalf("task %s has not begun", id)
	}
	pid, err := strconv.Atoi(strings.Fields(lines[len(lines)-1])[1])
	if err != nil {
		c.t.Fatal(err)
	}
	return pid
}

func (c *pythonCluster) attachments(id string, to, failAt int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"countTo":%d,"failAt":%d,"diary":%q}`, to, failAt, c.diaryFile(id)))
}

func (c *pythonCluster) counting(id string, to, failAt int) api.CreateTask {
	return api.CreateTask{ID: id, ClassName: "CountWorker", Attachments: c.attachments(id, to, failAt), Retry: skalds.Retry{MaxAttempts: 1}}
}

// count creates a task that counts, and is not run again after a failure.
func (c *pythonCluster) count(id string, to, failAt int) { c.counted(id, to, failAt, 1) }

func (c *pythonCluster) counted(id string, to, failAt, attempts int) {
	c.t.Helper()
	t := c.counting(id, to, failAt)
	t.Retry.MaxAttempts = attempts
	c.create(t)
}

func onNode(id string) func(api.TaskResponse) bool {
	return func(r api.TaskResponse) bool {
		return r.LifecycleStatus == skalds.Running && r.Executor != nil && *r.Executor == id && r.Phase == skalds.PhaseNone
	}
}

// alive reports whether a process is there that has not ended.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
