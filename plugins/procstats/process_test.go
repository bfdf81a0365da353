package procstats

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

func table(t testing.TB, list func() ([]Process, error)) *Table {
	t.Helper()
	l, err := list()
	if err != nil {
		t.Fatal(err)
	}
	return NewTable(l)
}

func pidsOf(tree []Process) []int {
	var out []int
	for _, p := range tree {
		out = append(out, p.PID)
	}
	slices.Sort(out)
	return out
}

// The cheap way and gopsutil tell the same of the same processes.
func TestBothWaysAgree(t *testing.T) {
	idle := start(t, "idle")
	memory := start(t, "memory 67108864")
	cpu := start(t, "cpu 300ms")
	cheap, portable := table(t, List), table(t, ListPortable)
	for _, pid := range []int{idle, memory, cpu, os.Getpid()} {
		a, ok := cheap.ByPID(pid)
		b, okb := portable.ByPID(pid)
		if !ok || !okb {
			t.Fatalf("process %d: listed %v, by gopsutil %v", pid, ok, okb)
		}
		if a.PPID != b.PPID {
			t.Errorf("process %d: parent %d, by gopsutil %d", pid, a.PPID, b.PPID)
		}
		if pid == os.Getpid() {
			continue // it goes on between the two readings
		}
		if d := (a.CPU - b.CPU).Abs(); d > 50*time.Millisecond {
			t.Errorf("process %d: CPU %s, by gopsutil %s", pid, a.CPU, b.CPU)
		}
		if d := a.RSSBytes - b.RSSBytes; max(d, -d) > 4<<20 {
			t.Errorf("process %d: memory %d, by gopsutil %d", pid, a.RSSBytes, b.RSSBytes)
		}
	}
	if p, _ := cheap.ByPID(cpu); p.CPU < 300*time.Millisecond {
		t.Errorf("it used 300 ms, measured are %s", p.CPU)
	}
	if p, _ := cheap.ByPID(memory); p.RSSBytes < 64<<20 {
		t.Errorf("it uses 64 MiB, measured are %d", p.RSSBytes)
	}
	self, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	selfPortable, err := ReadPortable(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	a, b := pidsOf(cheap.Tree(self.ID, nil)), pidsOf(portable.Tree(selfPortable.ID, nil))
	if !slices.Equal(a, b) || len(a) != 4 {
		t.Errorf("the tree: %v, by gopsutil %v", a, b)
	}
}

// What a census knows of trees is what gopsutil lists, also after some have come and gone.
func TestCensusAgrees(t *testing.T) {
	selfPortable, err := ReadPortable(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	self, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	c := NewCensus()
	agree := func(what string, look func() (*Table, error)) {
		t.Helper()
		tb, err := look()
		if err != nil {
			t.Fatal(err)
		}
		a, b := pidsOf(tb.Tree(self.ID, nil)), pidsOf(table(t, ListPortable).Tree(selfPortable.ID, nil))
		if !slices.Equal(a, b) {
			t.Errorf("%s: %v, by gopsutil %v", what, a, b)
		}
	}
	agree("at first", c.Look)
	start(t, "idle")
	agree("one more, by a glance", c.Glance)
	agree("nothing has changed", c.Glance)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MEASURED_DO=idle")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	agree("one more, by a look", c.Look)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	agree("one less", c.Look)
}

// Tables that are out of date are good enough for a meter, since it reads its own processes anew.
func TestMeterReadsWhatACensusRemembers(t *testing.T) {
	pid := start(t, "idle")
	p, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(p.ID)
	defer m.Close()
	c := NewCensus()
	tb, err := c.Look()
	if err != nil {
		t.Fatal(err)
	}
	if u := m.Sample(tb, time.Now()); u.Processes != 1 || u.MemoryBytes == 0 {
		t.Errorf("alive: %+v", u)
	}
	stop(t, pid)
	if runtime.GOOS != "linux" { // where every look reads everything
		if tb, err = c.Look(); err != nil {
			t.Fatal(err)
		}
	}
	if u := m.Sample(tb, time.Now()); u != (Usage{}) || len(m.Members()) != 0 {
		t.Errorf("after its end: %+v of %v", u, m.Members())
	}
	if b := m.Estimate(0); b != 0 {
		t.Errorf("after its end it is estimated to have %d bytes", b)
	}
}

func TestStatesAgree(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	for { // it is a zombie as soon as it has ended, since nobody waits for it
		p, err := Read(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if p.State == 'Z' {
			break
		}
		runtime.Gosched()
	}
	if p, err := ReadPortable(cmd.Process.Pid); err != nil || p.State != 'Z' {
		t.Errorf("by gopsutil: %+v, %v", p, err)
	}
}

func TestTreeKeepsWhoseParentHasDied(t *testing.T) {
	list := []Process{
		{ID: ID{1, 1}},
		{ID: ID{10, 100}, PPID: 1},
		{ID: ID{11, 110}, PPID: 10},
		{ID: ID{12, 120}, PPID: 11},
		{ID: ID{20, 200}, PPID: 1}, // was a child of 10 once
		{ID: ID{21, 210}, PPID: 20},
		{ID: ID{30, 300}, PPID: 1}, // a stranger
	}
	tb := NewTable(list)
	for _, tc := range []struct {
		name string
		root ID
		also []ID
		want []int
	}{
		{"descendants", ID{10, 100}, nil, []int{10, 11, 12}},
		{"with a lost branch", ID{10, 100}, []ID{{20, 200}, {11, 110}}, []int{10, 11, 12, 20, 21}},
		{"the pid of the root is another's now", ID{10, 99}, nil, nil},
		{"the pid of a member is another's now", ID{10, 100}, []ID{{30, 299}}, []int{10, 11, 12}},
		{"the root has gone", ID{9, 90}, []ID{{20, 200}}, []int{20, 21}},
	} {
		if got := pidsOf(tb.Tree(tc.root, tc.also)); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
	if _, ok := tb.Find(ID{10, 99}); ok {
		t.Error("found a process by a pid that is another's now")
	}
}

func TestMeter(t *testing.T) {
	pid := start(t, "memory 67108864")
	self, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	m := NewMeter(self.ID)
	if got := m.Charged(); got < 64<<20 || got > 192<<20 {
		t.Errorf("charged %d before the first round", got)
	}
	at := time.Now()
	first := table(t, List)
	if u := m.Sample(first, at); u.Processes != 1 || u.MemoryBytes < 64<<20 || u.MemoryBytes > 192<<20 || u.CPUCores != 0 {
		t.Errorf("first round: %+v", u)
	}
	if got := m.Members(); len(got) != 1 || got[0] != self.ID {
		t.Errorf("members %v", got)
	}
	busy, ok := first.Find(self.ID) // with the CPU time that the first round has seen
	if !ok {
		t.Fatal("not in the first table")
	}
	for i, step := range []time.Duration{time.Second, 0, time.Second} { // of CPU time, in two seconds each
		busy.CPU += step
		at = at.Add(2 * time.Second)
		if u := m.Sample(NewTable([]Process{busy}), at); u.CPUCores != step.Seconds()/2 {
			t.Errorf("round %d: %+v, want %g cores", i, u, step.Seconds()/2)
		}
	}
	if u := m.Sample(NewTable(nil), at.Add(time.Second)); u != (Usage{}) || len(m.Members()) != 0 {
		t.Errorf("after its end: %+v", u)
	}
}

// The CPU time of a child that has ended stays with the parent that waited for it.
func TestMeterCountsChildrenThatEnded(t *testing.T) {
	pid := start(t, "child 200ms")
	p, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" && p.CPU < 200*time.Millisecond {
		t.Errorf("the child used 200 ms, measured are %s", p.CPU)
	}
}

func TestMachine(t *testing.T) {
	s := New()
	m, err := s.Machine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.CPUCores < 1 || m.MemoryBytes < 64<<20 || m.UsedMemoryBytes <= 0 || m.UsedMemoryBytes > m.MemoryBytes || m.UsedCPUCores != 0 {
		t.Errorf("first call: %+v", m)
	}
	for begin := time.Now(); ; { // this loop itself keeps a core busy
		if m, err = s.Machine(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.UsedCPUCores > 0 || time.Since(begin) > 10*time.Second {
			break
		}
	}
	if m.UsedCPUCores <= 0 || m.UsedCPUCores > float64(runtime.NumCPU()) {
		t.Errorf("a busy machine uses %g of %d cores", m.UsedCPUCores, runtime.NumCPU())
	}
}

func TestStrangeNames(t *testing.T) {
	self, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = self.Close() }()
	for _, name := range []string{"a) Z 1 (b", ") (", "two\nlines", "\xff\xfe"} {
		path := filepath.Join(t.TempDir(), name)
		if os.Link(os.Args[0], path) != nil {
			f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := self.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(f, self); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		pid := startAs(t, path, "idle")
		if p, err := Read(pid); err != nil || p.PPID != os.Getpid() || p.State == 'Z' || p.Start == 0 {
			t.Errorf("%q: %+v, %v", name, p, err)
		}
		if b, err := ChargedBytes(pid); err != nil || b <= 0 {
			t.Errorf("%q: charged %d, %v", name, b, err)
		}
	}
}

func TestWhatHasGoneIsAnError(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if _, err := Read(pid); err == nil || runtime.GOOS == "linux" && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("read: %v", err)
	}
	if _, err := ChargedBytes(pid); err == nil {
		t.Error("charged bytes of nobody")
	}
	if _, err := PSSBytes(pid); err == nil {
		t.Error("PSS of nobody")
	}
	if _, ok := Environ(pid, "PATH"); ok {
		t.Error("environment of nobody")
	}
	if _, err := ReadPortable(pid); err == nil {
		t.Error("by gopsutil: read nobody")
	}
}

// A table is read while processes come and go.
func TestListWhileProcessesVanish(t *testing.T) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 50 {
		tb := table(t, List)
		if p, ok := tb.ByPID(os.Getpid()); !ok || p.PID != os.Getpid() {
			t.Error("this process is missing")
		}
		for _, pid := range tb.Children(os.Getpid()) {
			if p, ok := tb.ByPID(pid); !ok || p.Start == 0 {
				t.Errorf("child %d: %+v", pid, p)
			}
		}
	}
	close(stop)
	wg.Wait()
}
