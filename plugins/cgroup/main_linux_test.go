package cgroup

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Main stays on the main thread, so that no test runs on it.
func init() { runtime.LockOSThread() }

// The test binary is also what is put into groups: CGROUP_DO says what it does before or after it says "ready".
func TestMain(m *testing.M) {
	what, arg, _ := strings.Cut(os.Getenv("CGROUP_DO"), " ")
	n, _ := strconv.Atoi(arg)
	switch what {
	case "":
		os.Exit(m.Run())
	case "detect":
		tree, err := Detect(Config{Name: fmt.Sprintf("skalds-test-%d", os.Getpid())})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("usable: %+v %q", tree.Controllers(), tree.Reasons())
		if err := tree.Remove(); err != nil {
			fmt.Println(err)
		}
		return
	case "delegated":
		fmt.Println(asDelegate(arg))
		return
	case "groups":
		b, err := os.ReadFile("/proc/self/cgroup")
		fmt.Printf("%s%v", b, err)
		return
	case "memory": // touches n bytes
		fmt.Println("ready")
		b := make([]byte, n)
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		defer fmt.Fprint(os.Stderr, string(b[:0]))
		fmt.Println("held")
	case "spin":
		for range n {
			go func() {
				for i := 0; ; i++ {
					_ = i
				}
			}()
		}
		fmt.Println("ready")
	case "session": // a child in a session of its own
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "CGROUP_DO=wait")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		fmt.Println("ready", cmd.Process.Pid)
	case "headless": // its first thread ends and the others do not
		fmt.Println("ready")
		go time.Sleep(time.Hour)
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	default:
		fmt.Println("ready")
	}
	time.Sleep(time.Hour)
}

// onThisMachine gives a tree of the real kernel, or skips.
func onThisMachine(t testing.TB) *Tree {
	t.Helper()
	return onThisMachineBy(t, linux{})
}

func onThisMachineBy(t testing.TB, k kernel) *Tree {
	t.Helper()
	name := fmt.Sprintf("skalds-test-%d-%d", os.Getpid(), probes.Add(1))
	tree, err := detect(Config{Name: name}, k)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := tree.Remove(); err != nil {
			t.Error(err)
		}
		for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/*/"} {
			if left, _ := filepath.Glob(pattern + name); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		}
	})
	return tree
}

// newGroup gives a group that is killed and removed after the test.
func newGroup(t testing.TB, tree *Tree, l Limits) *Group {
	t.Helper()
	g, err := tree.New(fmt.Sprint("g", probes.Add(1)), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { discard(t, g) })
	return g
}

func discard(t testing.TB, g *Group) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	if err := g.Kill(ctx); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

// member is a process that was started in a group.
type member struct {
	*exec.Cmd
	lines *bufio.Scanner
}

// start runs the test binary in a group from its first instruction. Whatever becomes of it, it is reaped.
func start(t testing.TB, g *Group, do string) member {
	t.Helper()
	return startCommand(t, g, "/proc/self/exe", []string{"CGROUP_DO=" + do})
}

// startAs is start for another user.
func startAs(t testing.TB, g *Group, uid uint32, do string) member {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return started(t, g, cmd, []string{"CGROUP_DO=" + do})
}

func startCommand(t testing.TB, g *Group, path string, env []string, args ...string) member {
	t.Helper()
	return started(t, g, exec.Command(path, args...), env)
}

func started(t testing.TB, g *Group, cmd *exec.Cmd, env []string) member {
	t.Helper()
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forkInto(g, cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return member{cmd, bufio.NewScanner(out)}
}

func forkInto(g *Group, cmd *exec.Cmd) error {
	j, err := g.Join()
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = j.UnifiedFD >= 0, max(j.UnifiedFD, 0)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := j.Enter(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	return j.Leave()
}

// line is the next that the member says.
func (m member) line(t testing.TB) string {
	t.Helper()
	if !m.lines.Scan() {
		t.Fatalf("it says nothing more: %v", m.lines.Err())
	}
	return m.lines.Text()
}

// eventually waits for something that only asking tells.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}
