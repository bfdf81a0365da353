package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// joined is a host of its own that has joined a standalone.
type joined struct {
	*program
	id, data string
}

// join starts a host, or starts it again, and returns when it may get tasks.
func join(t testing.TB, p *program, id string) *joined {
	t.Helper()
	data := filepath.Join(p.dir, id)
	h := &joined{start(t, p.dir, "host", "--mode", "node", "--join", filepath.Join(p.dir, "join.json"), "--data-dir", data, "--node-id", id, "--labels", "zone=b"), id, data}
	pid := h.cmd.Process.Pid
	p.until("node "+id+" is online", func(ctx context.Context) bool {
		n, err := p.Node(ctx, id)
		return err == nil && n.Status == "online" && n.Greeted && n.PID == pid
	})
	return h
}

// family is a process and all that it and its children have started.
func family(t testing.TB, pid int) []int {
	t.Helper()
	out := []int{pid}
	for _, child := range childrenOf(t, pid) {
		out = append(out, family(t, child)...)
	}
	return out
}

// frozen are processes that stand still, as on a machine that sleeps.
type frozen []int

// freeze stops processes. They are woken up at the latest when the test ends.
func freeze(t testing.TB, pids []int) frozen {
	t.Helper()
	f := frozen(pids)
	t.Cleanup(func() {
		for _, pid := range f {
			_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
		}
	})
	f.signal(t, syscall.SIGSTOP)
	return f
}

func (f frozen) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	for _, pid := range f {
		err := syscall.Kill(pid, sig)
		if sig == syscall.SIGCONT && errors.Is(err, syscall.ESRCH) {
			continue // one that woke before has ended it
		}
		if err != nil {
			t.Errorf("send %s to %d: %v", sig, pid, err)
		}
	}
}

// childrenOf lists the processes that a process has started.
func childrenOf(t testing.TB, parent int) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// stateOf is the state of a process as the kernel tells it in one letter; empty: it has ended.
func stateOf(t testing.TB, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:min(1, len(rest))]
}

func work(id string, d time.Duration) api.CreateTask {
	return task(id, "work", on("zone=b"), func(c *api.CreateTask) {
		c.Attachments = json.RawMessage(fmt.Sprintf(`{"do":"work","millis":%d}`, d.Milliseconds()))
	})
}

// TestRollingRestart restarts three nodes one after the other while tasks run, each drained before, and then each only told to
// stop: every task comes to its end once, and none is cancelled.
func TestRollingRestart(t *testing.T) {
	for name, drain := range map[string]bool{"drained": true, "only stopped": false} {
		t.Run(name, func(t *testing.T) {
			p := standalone(t, t.TempDir())
			hosts := map[string]*joined{}
			ids := []string{"n1", "n2", "n3"}
			for _, id := range ids {
				hosts[id] = join(t, p, id)
			}
			var tasks []string
			for i := range 9 {
				id := fmt.Sprint("long", i)
				tasks = append(tasks, id)
				p.create(work(id, 3*time.Second))
			}
			for i := range 9 {
				p.runs(fmt.Sprint("long", i))
			}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var short []string
			var failed error
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
					id := fmt.Sprint("short", i)
					if _, failed = p.CreateTask(t.Context(), work(id, 300*time.Millisecond), ""); failed != nil {
						return
					}
					short = append(short, id)
				}
			})
			for _, id := range ids {
				if drain {
					out, errOut, code := command(t, p, "node", "drain", id, "--wait", "--timeout", "50s")
					if code != 0 || !strings.Contains(out, "node "+id+" is drained") {
						t.Fatalf("drain of %s ended with %d: %s%s", id, code, out, errOut)
					}
				}
				if err := hosts[id].cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				hosts[id].awaitExit(0)
				hosts[id] = join(t, p, id)
				if drain {
					if n, err := p.Undrain(t.Context(), id); err != nil || n.Draining {
						t.Fatalf("undrain of %s: %+v, %v", id, n.Drain, err)
					}
				}
			}
			close(stop)
			wg.Wait()
			if failed != nil {
				t.Fatal(failed)
			}
			moved := 0
			for _, id := range append(tasks, short...) {
				r := p.ends(id)
				if r.LifecycleStatus != skalds.Finished || r.BudgetUsed != 0 {
					t.Errorf("%s is %s, %d attempts counted: %+v", id, r.LifecycleStatus, r.BudgetUsed, r.LastExit)
				}
				var attempts []skalds.Attempt
				p.until("the last attempt of "+id+" is on record", func(ctx context.Context) (ok bool) { // it comes after the word of the end
					list, err := p.Attempts(ctx, id)
					attempts = list
					return err == nil && len(list) > 0 && list[len(list)-1].Epoch == r.Epoch && list[len(list)-1].EndedAt != 0
				})
				completed, finished := 0, 0
				for _, a := range attempts {
					switch a.Exit.Kind {
					case skalds.ExitCompleted:
						completed++
					case skalds.ExitDrain, skalds.ExitHostStop, skalds.ExitHostRestart:
						moved++
					default:
						t.Errorf("%s: an attempt on %s ended by %s", id, a.Node, a.Exit.Kind)
					}
				}
				for _, h := range hosts {
					finished += noted(h.data, id, "finished")
				}
				if completed != 1 || finished != 1 {
					t.Errorf("%s is on record as completed %d times, and came to its end %d times", id, completed, finished)
				}
			}
			t.Logf("%d long and %d short tasks, %d attempts were moved", len(tasks), len(short), moved)
			if moved == 0 {
				t.Error("nothing was moved: the test shows nothing")
			}
		})
	}
}

// awaitExit waits until the program has ended, and checks its exit code.
func (p *program) awaitExit(code int) {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("does not end\n%s", tail(p.log.String(), 50))
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d\n%s", got, code, tail(p.log.String(), 50))
	}
}

// TestNodeComesBack freezes a host, its shim and its workers for longer than the lease, as a machine that sleeps: its tasks run
// elsewhere. When it is awake it gets rid of what it ran, and gets something new.
func TestNodeComesBack(t *testing.T) {
	t.Setenv("SKALDS_LEASE", "3s")
	p := standalone(t, t.TempDir())
	a := join(t, p, "n1")
	const n = 3
	before := map[string]api.TaskResponse{}
	for i := range n {
		id := fmt.Sprint("t", i)
		p.create(task(id, "wait", on("zone=b")))
		before[id] = p.runs(id)
	}
	join(t, p, "n2")
	asleep := freeze(t, family(t, a.cmd.Process.Pid))
	if len(asleep) < 2+n {
		t.Fatalf("only %d processes of n1", len(asleep))
	}
	began := time.Now()
	after := map[string]api.TaskResponse{}
	for id := range before {
		after[id] = p.becomes(id, "runs on n2", func(r api.TaskResponse) bool {
			return r.LifecycleStatus == skalds.Running && *r.Executor == "n2" && r.Instance != nil && r.Instance.PID > 0
		})
	}
	t.Logf("all run elsewhere after %s", time.Since(began).Round(10*time.Millisecond))
	for id, r := range before {
		if state := stateOf(t, r.Instance.PID); state != "T" {
			t.Errorf("the older process of %s is in state %q: the test shows nothing", id, state)
		}
	}
	if node, err := p.Node(t.Context(), "n1"); err != nil || node.LostAt == 0 || node.Status != "offline" {
		t.Errorf("node n1 is %s, lost at %d, %v", node.Status, node.LostAt, err)
	}
	if _, err := p.LabelNode(t.Context(), "n1", map[string]*string{"only": ptr("n1")}, false); err != nil {
		t.Fatal(err)
	}
	p.create(task("later", "wait", on("only=n1")))
	asleep.signal(t, syscall.SIGCONT)
	p.runs("later")
	for id, r := range before {
		if state := stateOf(t, r.Instance.PID); state != "" {
			t.Errorf("n1 has begun something new while the older process of %s is there in state %q", id, state)
		}
		now := p.runs(id)
		if *now.Executor != "n2" || now.Instance.PID != after[id].Instance.PID || now.Epoch != after[id].Epoch || now.BudgetUsed != 0 {
			t.Errorf("%s runs on %s in epoch %d with %d attempts counted, after epoch %d on n2", id, *now.Executor, now.Epoch, now.BudgetUsed, after[id].Epoch)
		}
		if k := noted(a.data, id, "began"); k != 1 {
			t.Errorf("%s began %d times on n1", id, k)
		}
	}
}

// TestStarvedClusterLosesNoNode stops the controller, all hosts and all workers for three seconds, twice.
func TestStarvedClusterLosesNoNode(t *testing.T) {
	p := standalone(t, t.TempDir())
	pids := family(t, p.cmd.Process.Pid)
	before := map[string]api.TaskResponse{}
	var hosts []*joined
	for i := range 3 {
		h := join(t, p, fmt.Sprint("n", i))
		id := fmt.Sprint("t", i)
		p.create(task(id, "wait", on("zone=b")))
		before[id] = p.runs(id)
		hosts = append(hosts, h)
	}
	for _, h := range hosts {
		pids = append(pids, family(t, h.cmd.Process.Pid)...)
	}
	for range 2 {
		asleep := freeze(t, pids)
		<-time.After(3 * time.Second)
		asleep.signal(t, syscall.SIGCONT)
		longer := time.Now().Add(7 * time.Second).UnixMilli()
		p.until("all were heard for longer than a lease after that", func(ctx context.Context) bool {
			l, err := p.Nodes(ctx, "", "online")
			if err != nil || len(l.Items) != 4 {
				return false
			}
			for _, n := range l.Items {
				if at, err := strconv.ParseInt(n.LastHeartbeat, 10, 64); err != nil || at < longer {
					return false
				}
			}
			return true
		})
	}
	nodes, err := p.Nodes(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes.Items {
		if n.LostAt != 0 || n.Status != "online" {
			t.Errorf("node %s is %s, lost at %d", n.ID, n.Status, n.LostAt)
		}
	}
	for id, r := range before {
		if now := p.runs(id); now.Instance.PID != r.Instance.PID || now.Epoch != r.Epoch {
			t.Errorf("%s was moved or restarted", id)
		}
	}
	if log := p.log.String(); strings.Contains(log, "node is lost") {
		t.Errorf("a node was declared lost:\n%s", tail(log, 50))
	}
}

func ptr[T any](v T) *T { return &v }

// TestMachineLost stops a host and its shim, so that nobody says farewell: the tasks run elsewhere soon after the lease. Promised
// are 9 s with a lease of 6 s.
func TestMachineLost(t *testing.T) {
	t.Setenv("SKALDS_LEASE", "6s")
	p := standalone(t, t.TempDir())
	a := join(t, p, "n1")
	p.create(task("moves", "wait", on("zone=b")))
	p.runs("moves")
	join(t, p, "n2")
	host := a.cmd.Process.Pid
	shims := childrenOf(t, host)
	if len(shims) != 1 {
		t.Fatalf("the host has %d children, want its shim", len(shims))
	}
	freeze(t, append(shims, host))
	began := time.Now()
	r := p.becomes("moves", "runs on n2", func(r api.TaskResponse) bool {
		return r.LifecycleStatus == skalds.Running && *r.Executor == "n2" && r.Instance != nil
	})
	took := time.Since(began)
	t.Logf("runs elsewhere after %s", took.Round(10*time.Millisecond))
	if took < 4*time.Second || took > 5*9*time.Second || r.BudgetUsed != 0 {
		t.Errorf("after %s, with %d attempts counted", took, r.BudgetUsed)
	}
}
