package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAGroupIsFreshAndGoesWithoutATrace(t *testing.T) {
	tree := onThisMachine(t)
	g := newGroup(t, tree, Limits{All: true})
	if _, err := tree.New(g.Name(), Limits{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name was used twice: %v", err)
	}
	if s, err := g.Stat(); err != nil || s.Processes != 0 || s.Threads != 0 || s.CPU != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	start(t, g, "wait").line(t)
	if s, err := g.Stat(); err != nil || s.Processes != 1 || s.Threads < 1 || s.CPUKnown && s.CPU == 0 || s.MemoryKnown && s.MemoryBytes == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	discard(t, g)
	if _, err := g.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("measured after its end: %v", err)
	}
	for _, d := range g.Dirs() {
		if exists(d) {
			t.Errorf("%s is still there", d)
		}
	}
}

func TestAChildIsInAllGroupsAtItsFirstInstruction(t *testing.T) {
	tree := onThisMachine(t)
	g := newGroup(t, tree, Limits{MemoryBytes: 1 << 30, CPUCores: 2, PIDs: 100, IOWeight: 50})
	before, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	m := start(t, g, "groups")
	in := 0
	for m.lines.Scan() {
		if strings.HasSuffix(m.lines.Text(), "/"+g.Name()) {
			in++
		}
	}
	if in < len(g.Dirs()) {
		t.Errorf("in %d of %v", in, g.Dirs())
	}
	tasks, err := filepath.Glob("/proc/self/task/*/cgroup")
	if err != nil || len(tasks) == 0 {
		t.Fatal(tasks, err)
	}
	for _, task := range tasks {
		if now, err := os.ReadFile(task); err == nil && string(now) != string(before) {
			t.Errorf("a thread of ours stayed behind:\n%s", now)
		}
	}
}

func TestTheMemoryLimitKillsWhoExceedsIt(t *testing.T) {
	tree := onThisMachine(t)
	if tree.Controllers().Memory == "" {
		t.Skip(tree.Reasons())
	}
	const limit = 64 << 20
	g := newGroup(t, tree, Limits{MemoryBytes: limit})
	m := start(t, g, fmt.Sprint("memory ", 4*limit))
	err := m.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("it ended by %v", err)
	}
	s, err := g.Stat()
	if err != nil || s.OOMKills == 0 || s.MemoryPeakBytes > limit || s.MemoryPeakBytes < limit/2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTheLimitOfProcessesRefusesForks(t *testing.T) {
	tree := onThisMachine(t)
	if tree.Controllers().PIDs == "" {
		t.Skip(tree.Reasons())
	}
	g := newGroup(t, tree, Limits{PIDs: 10})
	m := startCommand(t, g, "/bin/sh", nil, "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 1000 >/dev/null & done 2>/dev/null; echo; wait")
	m.lines.Scan() // a shell may end at the first refusal
	s, err := g.Stat()
	if err != nil || s.RefusedForks == 0 || s.Threads > 10 || s.Processes == 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTheCPUQuotaHolds(t *testing.T) {
	tree := onThisMachine(t)
	if tree.Controllers().CPU == "" {
		t.Skip(tree.Reasons())
	}
	const quota, slack = 0.2, 0.02
	g := newGroup(t, tree, Limits{CPUCores: quota})
	start(t, g, "spin 2").line(t)
	begin := time.Now()
	first, err := g.Stat()
	if err != nil || !first.CPUKnown {
		t.Fatal(first, err)
	}
	<-time.After(3 * time.Second)
	second, err := g.Stat()
	share := float64(second.CPU-first.CPU) / float64(time.Since(begin))
	if err != nil || share > quota+slack {
		t.Errorf("it used %.1f %% of a core, %v", 100*share, err)
	}
	if share > quota-slack && second.Throttled == 0 {
		t.Errorf("nothing says that it had to wait: %+v", second)
	}
	t.Logf("%.1f %% of a core, had to wait %s", 100*share, second.Throttled-first.Throttled)
}

func TestAFrozenGroupUsesNothingAndGoesOn(t *testing.T) {
	tree := onThisMachine(t)
	if tree.Controllers().Freeze == "" {
		t.Skip("no freezer")
	}
	g := newGroup(t, tree, Limits{All: true})
	start(t, g, "spin 2").line(t)
	cpu := func() time.Duration {
		s, err := g.Stat()
		if err != nil || !s.CPUKnown {
			t.Fatal(s, err)
		}
		return s.CPU
	}
	if err := g.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	still := cpu()
	<-time.After(200 * time.Millisecond)
	if now := cpu(); now != still {
		t.Errorf("it used %s while it was frozen", now-still)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool { return cpu() > still })
	if err := g.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(t.Context()); err != nil { // frozen
		t.Error(err)
	}
}

func TestKillTakesWhoHasLeftTheSession(t *testing.T) {
	tree := onThisMachine(t)
	for name, way := range map[string]func(*Group){
		"at once":    func(*Group) {},
		"one by one": func(g *Group) { g.kernel = without{g.kernel, "cgroup.kill"} },
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(t, tree, Limits{PIDs: 100})
			m := start(t, g, "session")
			said := m.line(t)
			grandchild, err := strconv.Atoi(strings.TrimPrefix(said, "ready "))
			if err != nil {
				t.Fatalf("it said %q", said)
			}
			members, err := g.PIDs()
			if err != nil || !slices.Contains(members, grandchild) || !slices.Contains(members, m.Process.Pid) {
				t.Fatalf("%v, %v: where is %d?", members, err, grandchild)
			}
			way(g)
			if err := g.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
			// It stays a zombie until its new parent has reaped it.
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", grandchild)); err == nil && !bytes.Contains(b, []byte(") Z ")) && !bytes.Contains(b, []byte(") X ")) {
				t.Errorf("it lives: %s", b)
			}
			if members, err := g.PIDs(); err != nil || len(members) > 0 {
				t.Errorf("left: %v, %v", members, err)
			}
			if _, err := g.Join(); err == nil {
				t.Error("a killed group takes members")
			}
			fresh := newGroup(t, tree, Limits{PIDs: 100})
			start(t, fresh, "wait").line(t)
		})
	}
}

func TestAThreadThatForksIsNoMember(t *testing.T) {
	tree := onThisMachine(t)
	g := newGroup(t, tree, Limits{All: true})
	if len(g.Dirs()) < 2 {
		t.Skip("version 1 is not here")
	}
	j, err := g.Join()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := j.Enter(); err != nil {
		t.Fatal(err)
	}
	procs, listErr := listed(j.Procs[0])
	members, err := g.PIDs()
	g.kernel = without{g.kernel, "cgroup.kill"}
	err = errors.Join(listErr, err, g.Kill(t.Context()), j.Leave()) // it would be our end
	if err != nil || len(members) > 0 {
		t.Errorf("%v, %v", members, err)
	}
	if !slices.Equal(procs, []int{os.Getpid()}) {
		t.Errorf("the kernel lists %v: nothing was tested", procs)
	}
}

func TestAProcessWhoseFirstThreadHasEndedIsAMember(t *testing.T) {
	tree := onThisMachine(t)
	g := newGroup(t, tree, Limits{All: true})
	m := start(t, g, "headless")
	m.line(t)
	eventually(t, "the first thread ends", func() bool { return zombie(m.Process.Pid) })
	for _, d := range g.dirs {
		if list, err := d.pids(); err != nil || !slices.Equal(list, []int{m.Process.Pid}) {
			t.Errorf("%s: %v, %v", d.path, list, err)
		}
	}
	g.kernel = without{g.kernel, "cgroup.kill"}
	if err := g.Kill(t.Context()); err != nil {
		t.Error(err)
	}
}

// without is a kernel that lacks a file. Reading it still finds it, so that writing is what fails.
type without struct {
	kernel
	file string
}

func (w without) write(path, value string) error {
	if filepath.Base(path) == w.file {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	}
	return w.kernel.write(path, value)
}

func TestSetChangesLimitsOfALivingGroup(t *testing.T) {
	tree := onThisMachine(t)
	if tree.Controllers().Memory == "" {
		t.Skip(tree.Reasons())
	}
	const held = 64 << 20
	g := newGroup(t, tree, Limits{All: true})
	m := start(t, g, fmt.Sprint("memory ", held))
	m.line(t)
	m.line(t)
	for _, bytes := range []int64{8 * held, 16 * held, 4 * held, 0, 4 * held} {
		if err := g.Set(Limits{MemoryBytes: bytes, CPUCores: 0.5, PIDs: 100}); err != nil {
			t.Errorf("%d: %v", bytes, err)
		}
	}
	if err := g.Set(Limits{MemoryBytes: held / 2}); !errors.Is(err, ErrBelowUse) {
		t.Errorf("below use: %v", err)
	}
	s, err := g.Stat()
	if err != nil || s.Processes != 1 || s.OOMKills != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	few := newGroup(t, tree, Limits{PIDs: 10})
	if err := few.Set(Limits{MemoryBytes: held}); tree.Controllers().Memory == Version1 && err == nil {
		t.Error("a limit was taken that nothing holds")
	}
}

func TestSweepKillsWhatADeadHostHasLeft(t *testing.T) {
	tree := onThisMachine(t)
	kept, left := newGroup(t, tree, Limits{PIDs: 100}), newGroup(t, tree, Limits{All: true})
	start(t, kept, "wait").line(t)
	start(t, left, "session").line(t)
	empty, err := tree.New("empty", Limits{All: true})
	if err != nil {
		t.Fatal(err)
	}
	killed, err := tree.Sweep(t.Context(), func(name string) bool { return name == kept.Name() })
	if err != nil || killed != 2 {
		t.Errorf("killed %d, %v", killed, err)
	}
	for _, d := range append(left.Dirs(), empty.Dirs()...) {
		if exists(d) {
			t.Errorf("%s is still there", d)
		}
	}
	if members, err := kept.PIDs(); err != nil || len(members) != 1 {
		t.Errorf("%v, %v", members, err)
	}
	if err := tree.Remove(); err == nil {
		t.Error("a folder with a group in it was removed")
	}
}

func TestAGroupIsKilledByItsDirectoriesAlone(t *testing.T) {
	tree := onThisMachine(t)
	g := newGroup(t, tree, Limits{All: true})
	start(t, g, "session").line(t)
	other := Reopen(append(g.Dirs(), "/sys/fs/cgroup/never/was"))
	members, err := other.PIDs()
	if err != nil || len(members) != 2 {
		t.Errorf("%v, %v", members, err)
	}
	if s, err := other.Stat(); err != nil || s.Processes != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := errors.Join(other.Kill(t.Context()), other.Remove(), Reopen(g.Dirs()).Kill(t.Context())); err != nil {
		t.Error(err)
	}
	for _, d := range g.Dirs() {
		if exists(d) {
			t.Errorf("%s is still there", d)
		}
	}
}

func TestATaskMayHaveGroupsOfItsOwn(t *testing.T) {
	tree := onThisMachine(t)
	g := newGroup(t, tree, Limits{All: true})
	m := start(t, g, "wait")
	m.line(t)
	for _, d := range g.Dirs() {
		below := filepath.Join(d, "below")
		if err := os.MkdirAll(filepath.Join(below, "more"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(below, "more/cgroup.procs"), []byte(strconv.Itoa(m.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	if members, err := g.PIDs(); err != nil || !slices.Equal(members, []int{m.Process.Pid}) {
		t.Errorf("%v, %v", members, err)
	}
	discard(t, g)
}

func TestPressureIsToldWhereTheKernelKnowsIt(t *testing.T) {
	tree := onThisMachine(t)
	g := newGroup(t, tree, Limits{})
	_, err := os.Stat(filepath.Join(g.Dirs()[0], "memory.pressure"))
	if p, ok := g.Pressure(); ok != (err == nil) || p < 0 || p > 100 {
		t.Errorf("%f, %v: %v", p, ok, err)
	}
}

func TestAUserWithoutRightsHearsWhatIsMissing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	onThisMachine(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "CGROUP_DO=detect")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{ErrUnavailable.Error(), "permission denied", "Delegate=yes"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("nothing of %q in\n%s", want, out)
		}
	}
}

// legacyOnly is the kernel for somebody who may make no groups of version 2.
type legacyOnly struct{ linux }

func (l legacyOnly) mkdir(path string) error {
	if exists(filepath.Join(filepath.Dir(path), "cgroup.controllers")) {
		return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.EACCES}
	}
	return l.linux.mkdir(path)
}

// TestWithoutVersion2 takes version 2 away from this machine: freezing, killing and sweeping are other ways then.
func TestWithoutVersion2(t *testing.T) {
	tree := onThisMachineBy(t, legacyOnly{})
	c := tree.Controllers()
	if c.Freeze != Version1 || c.Kill != "" {
		t.Skipf("no freezer of version 1: %+v", c)
	}
	g := newGroup(t, tree, Limits{MemoryBytes: 1 << 30, PIDs: 100})
	m := start(t, g, "session")
	m.line(t)
	spinner := start(t, g, "spin 2")
	spinner.line(t)
	if s, err := g.Stat(); err != nil || s.Processes != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	used := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", spinner.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if err := g.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	still := used()
	<-time.After(200 * time.Millisecond)
	if now := used(); now != still {
		t.Errorf("it ran while it was frozen: %s, then %s", still, now)
	}
	if err := g.Kill(t.Context()); err != nil { // frozen
		t.Fatal(err)
	}
	if members, err := g.PIDs(); err != nil || len(members) > 0 {
		t.Errorf("%v, %v", members, err)
	}
	left := newGroup(t, tree, Limits{})
	start(t, left, "session").line(t)
	if killed, err := tree.Sweep(t.Context(), nil); err != nil || killed != 2 {
		t.Errorf("killed %d, %v", killed, err)
	}
}

// TestAForkBombDies is about what forks faster than it can be killed one by one.
func TestAForkBombDies(t *testing.T) {
	for name, k := range map[string]kernel{
		"at once":               linux{},
		"one by one, version 2": without{linux{}, "cgroup.kill"},
		"one by one, version 1": legacyOnly{},
	} {
		t.Run(name, func(t *testing.T) {
			tree := onThisMachineBy(t, k)
			if tree.Controllers().PIDs == "" {
				t.Skip(tree.Reasons()) // the machine would be bombed
			}
			g := newGroup(t, tree, Limits{PIDs: 60})
			bomb := `f() { while :; do f & done 2>/dev/null; }; f >/dev/null & echo ready; wait`
			startCommand(t, g, "/bin/sh", nil, "-c", bomb).line(t)
			eventually(t, "it explodes", func() bool { s, err := g.Stat(); return err == nil && s.Threads > 20 })
			if err := g.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
			if members, err := g.PIDs(); err != nil || len(members) > 0 {
				t.Errorf("%v, %v", members, err)
			}
		})
	}
}
