package cgroup

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machines are the kinds on which limits are written.
func onUnified(t *testing.T) (*fake, *Tree) {
	t.Helper()
	f := newFake(t, unified, "0::/\n", map[string]string{"/sys/fs/cgroup": "root " + all})
	return f, treeOf(t, f)
}

func onLegacy(t *testing.T, lacks ...string) (*fake, *Tree) {
	t.Helper()
	f := newFake(t, legacy, atTheTop, v1(nil))
	for _, file := range lacks {
		f.lacks[file] = true
	}
	return f, treeOf(t, f)
}

func onHybrid(t *testing.T) (*fake, *Tree) {
	t.Helper()
	f := newFake(t, hybrid, atTheTop, v1(nil))
	return f, treeOf(t, f)
}

func treeOf(t *testing.T, f *fake) *Tree {
	t.Helper()
	tree, err := f.tree("")
	if err != nil {
		t.Fatal(err)
	}
	f.written = nil
	return tree
}

func made(t *testing.T, tree *Tree, l Limits) *Group {
	t.Helper()
	g, err := tree.New("g", l)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var allLimits = Limits{MemoryBytes: 64 << 20, CPUCores: 1.5, PIDs: 40, IOWeight: 50}

func TestLimitsOfVersion2(t *testing.T) {
	f, tree := onUnified(t)
	g := made(t, tree, allLimits)
	const at = "/sys/fs/cgroup/skalds-1/g"
	want := []string{
		"memory.max: 67108864", "memory.swap.max: 0", "memory.oom.group: 1",
		"cpu.max: 150000 100000", "pids.max: 40", "io.weight: default 50",
	}
	if diff := cmp.Diff(want, f.writes(at)); diff != "" {
		t.Error(diff)
	}
	if err := g.Set(Limits{CPUCores: 0.001}); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"memory.max: max", "memory.swap.max: max", "memory.oom.group: 0",
		"cpu.max: 1000 100000", "pids.max: max", "io.weight: default 100",
	}
	if diff := cmp.Diff(want, f.writes(at)); diff != "" {
		t.Error(diff)
	}
	f.put(at+"/memory.current", "50000000\n")
	f.put(at+"/memory.stat", "anon 1\ninactive_file 10000000\nactive_file 9000000\n")
	if err := g.Set(Limits{MemoryBytes: 30_000_000}); !errors.Is(err, ErrBelowUse) || len(f.writes(at)) > 0 {
		t.Errorf("below use: %v", err)
	}
	if err := g.Set(Limits{MemoryBytes: 32_000_000}); err != nil {
		t.Errorf("file pages make room: %v", err)
	}
}

func TestLimitsOfAKernelWithoutSwap(t *testing.T) {
	f := newFake(t, unified, "0::/\n", map[string]string{"/sys/fs/cgroup": "root " + all})
	f.lacks["memory.swap.max"], f.lacks["memory.oom.group"], f.lacks["io.weight"] = true, true, true
	files[2]["io"] = append(files[2]["io"], "io.bfq.weight=100\n")
	t.Cleanup(func() { files[2]["io"] = files[2]["io"][:2] })
	tree := treeOf(t, f)
	made(t, tree, Limits{MemoryBytes: 1 << 20, IOWeight: 5000})
	want := []string{"memory.max: 1048576", "io.bfq.weight: 1000"}
	if diff := cmp.Diff(want, f.writes("/sys/fs/cgroup/skalds-1/g")); diff != "" {
		t.Error(diff)
	}
}

func TestLimitsOfVersion1(t *testing.T) {
	f, tree := onLegacy(t)
	g := made(t, tree, allLimits)
	if len(g.Dirs()) != 5 {
		t.Errorf("in %v", g.Dirs())
	}
	set := func(l Limits, err error, memory, cpu, pids, io []string) {
		t.Helper()
		if got := g.Set(l); !errors.Is(got, err) {
			t.Errorf("%v", got)
		}
		written := f.written
		for in, want := range map[string][]string{"memory": memory, "cpu,cpuacct": cpu, "pids": pids, "blkio": io} {
			f.written = written
			if diff := cmp.Diff(want, f.writes("/sys/fs/cgroup/"+in+"/skalds-1/g")); diff != "" {
				t.Errorf("%s: %s", in, diff)
			}
		}
	}
	cpu := []string{"cpu.cfs_period_us: 100000", "cpu.cfs_quota_us: 150000"}
	pids, io := []string{"pids.max: 40"}, []string{"blkio.weight: 250"}
	written := f.written
	for in, want := range map[string][]string{
		"memory":      {"memory.limit_in_bytes: 67108864", "memory.memsw.limit_in_bytes: 67108864"},
		"cpu,cpuacct": cpu, "pids": pids, "blkio": io, "freezer": nil,
	} {
		f.written = written
		if diff := cmp.Diff(want, f.writes("/sys/fs/cgroup/"+in+"/skalds-1/g")); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
	// Memory with swap is never less than memory alone, on the way neither.
	more, less := allLimits, allLimits
	more.MemoryBytes, less.MemoryBytes = 128<<20, 32<<20
	set(more, nil, []string{"memory.memsw.limit_in_bytes: 134217728", "memory.limit_in_bytes: 134217728"}, cpu, pids, io)
	set(less, nil, []string{"memory.limit_in_bytes: 33554432", "memory.memsw.limit_in_bytes: 33554432"}, cpu, pids, io)
	set(Limits{}, nil, []string{"memory.memsw.limit_in_bytes: -1", "memory.limit_in_bytes: -1"},
		[]string{"cpu.cfs_period_us: 100000", "cpu.cfs_quota_us: -1"}, []string{"pids.max: max"}, []string{"blkio.weight: 500"})
	f.busy = "memory.limit_in_bytes"
	set(less, ErrBelowUse, nil, nil, nil, nil)
}

func TestLimitsOfVersion1WithoutSwapAccounting(t *testing.T) {
	f, tree := onLegacy(t, "memory.memsw.limit_in_bytes")
	made(t, tree, Limits{MemoryBytes: 64 << 20})
	want := []string{"memory.swappiness: 0", "memory.limit_in_bytes: 67108864"}
	if diff := cmp.Diff(want, f.writes("/sys/fs/cgroup/memory/skalds-1/g")); diff != "" {
		t.Error(diff)
	}
}

func TestAQuotaAboveThatOfTheHost(t *testing.T) {
	f, tree := onLegacy(t)
	f.put("/sys/fs/cgroup/cpu,cpuacct/skalds-1/cpu.cfs_quota_us", "100000\n")
	made(t, tree, Limits{CPUCores: 2})
	want := []string{"cpu.cfs_period_us: 100000", "cpu.cfs_quota_us: -1"}
	if diff := cmp.Diff(want, f.writes("/sys/fs/cgroup/cpu,cpuacct/skalds-1/g")); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyThoseOfVersion1ThatHoldSomethingAreJoined(t *testing.T) {
	f, tree := onHybrid(t)
	for _, test := range []struct {
		limits Limits
		want   []string
	}{
		{Limits{}, []string{"unified"}},
		{Limits{MemoryBytes: 1 << 20, PIDs: 1}, []string{"unified", "memory", "pids"}},
		{Limits{All: true}, []string{"unified", "memory", "cpu,cpuacct", "pids", "blkio"}},
	} {
		g := made(t, tree, test.limits)
		var got []string
		for _, d := range g.Dirs() {
			got = append(got, strings.Split(f.below(d), "/")[4])
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Error(diff)
		}
		j, err := g.Join()
		if err != nil {
			t.Fatal(err)
		}
		if j.UnifiedDir != g.Dirs()[0] || len(j.Tasks) != len(got)-1 || len(j.Procs) != len(got)-1 {
			t.Errorf("%+v", j)
		}
		if err := errors.Join(j.Enter(), j.Leave(), j.Close(), j.Close()); err != nil {
			t.Error(err)
		}
		f.written = nil
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	}
}

func TestALimitThatCannotBeWrittenLeavesNoGroup(t *testing.T) {
	f, tree := onHybrid(t)
	f.busy = "pids.max"
	if _, err := tree.New("g", allLimits); err == nil {
		t.Fatal("it was made without its limit")
	}
	if names, err := tree.names(); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

func TestStatOfVersion2(t *testing.T) {
	f, tree := onUnified(t)
	g := made(t, tree, allLimits)
	const at = "/sys/fs/cgroup/skalds-1/g/"
	for file, content := range map[string]string{
		"cpu.stat":        "usage_usec 1500000\nuser_usec 1\nnr_throttled 3\nthrottled_usec 250\n",
		"memory.current":  "5000\n",
		"memory.peak":     "9000\n",
		"memory.stat":     "anon 10\ninactive_anon 7\ninactive_file 2000\n",
		"memory.events":   "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 1\n",
		"pids.current":    "7\n",
		"pids.events":     "max 11\n",
		"cgroup.procs":    "12\n13\n",
		"memory.pressure": "some avg10=12.34 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00\n",
	} {
		f.put(at+file, content)
	}
	want := Stat{
		CPU: 1500 * time.Millisecond, CPUKnown: true, Throttled: 250 * time.Microsecond,
		MemoryBytes: 5000, WorkingSetBytes: 3000, MemoryPeakBytes: 9000, MemoryKnown: true,
		Processes: 2, Threads: 7, OOMKills: 3, RefusedForks: 11,
	}
	for range 2 { // by fresh files and by kept ones
		got, err := g.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if p, ok := g.Pressure(); !ok || p != 12.34 {
		t.Errorf("%f, %v", p, ok)
	}
	f.put(at+"cgroup.procs", "")
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

func TestStatOfVersion1(t *testing.T) {
	f, tree := onLegacy(t)
	g := made(t, tree, allLimits)
	for file, content := range map[string]string{
		"cpu,cpuacct/skalds-1/g/cpu.stat":             "nr_periods 9\nnr_throttled 3\nthrottled_time 250\n",
		"cpu,cpuacct/skalds-1/g/cpuacct.usage":        "1500\n",
		"memory/skalds-1/g/memory.usage_in_bytes":     "5000\n",
		"memory/skalds-1/g/memory.max_usage_in_bytes": "9000\n",
		"memory/skalds-1/g/memory.stat":               "inactive_file 1\ntotal_inactive_file 2000\n",
		"memory/skalds-1/g/memory.oom_control":        "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
		"pids/skalds-1/g/pids.current":                "7\n",
		"pids/skalds-1/g/pids.events":                 "max 11\n",
		"memory/skalds-1/g/cgroup.procs":              "12\n13\n",
	} {
		f.put("/sys/fs/cgroup/"+file, content)
	}
	want := Stat{
		CPU: 1500, CPUKnown: true, Throttled: 250,
		MemoryBytes: 5000, WorkingSetBytes: 3000, MemoryPeakBytes: 9000, MemoryKnown: true,
		Processes: 2, Threads: 7, OOMKills: 3, RefusedForks: 11,
	}
	got, err := g.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p, ok := g.Pressure(); ok {
		t.Errorf("version 1 knows a pressure: %f", p)
	}
}

func TestStatSaysWhatIsNotMeasured(t *testing.T) {
	f, tree := onUnified(t)
	for _, d := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/skalds-1"} {
		f.put(d+"/cgroup.subtree_control", "")
	}
	g := made(t, tree, Limits{})
	g = reopen(f, g.Dirs()) // a fresh look at what is there
	f.put("/sys/fs/cgroup/skalds-1/g/cgroup.threads", "1\n2\n3\n")
	s, err := g.Stat()
	if err != nil || s.MemoryKnown || !s.CPUKnown || s.Threads != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := f.rmdir(g.Dirs()[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Stat(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a group that has gone: %v", err)
	}
}

func TestFreezing(t *testing.T) {
	for name, test := range map[string]struct {
		tree   func(*testing.T) (*fake, *Tree)
		at     string
		frozen string
		thawed string
	}{
		"version 2": {onUnified, "/sys/fs/cgroup/skalds-1/g", "cgroup.freeze: 1", "cgroup.freeze: 0"},
		"hybrid":    {onHybrid, "/sys/fs/cgroup/unified/skalds-1/g", "cgroup.freeze: 1", "cgroup.freeze: 0"},
		"version 1": {
			func(t *testing.T) (*fake, *Tree) { return onLegacy(t) },
			"/sys/fs/cgroup/freezer/skalds-1/g", "freezer.state: FROZEN", "freezer.state: THAWED",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, tree := test.tree(t)
			g := made(t, tree, Limits{})
			if err := errors.Join(g.Freeze(t.Context()), g.Thaw()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{test.frozen, test.thawed}, f.writes(test.at)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// deaf is a kernel that takes the word to freeze, and does not follow.
type deaf struct{ *fake }

func (d deaf) write(path, value string) error {
	if strings.HasSuffix(path, "/cgroup.freeze") {
		d.written = append(d.written, d.below(path)+": "+value)
		return nil
	}
	return d.fake.write(path, value)
}

func TestAGroupThatDoesNotFreezeGoesOn(t *testing.T) {
	f, tree := onUnified(t)
	g := made(t, tree, Limits{})
	g.kernel = deaf{f}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.Freeze(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"cgroup.freeze: 1", "cgroup.freeze: 0"}, f.writes("/sys/fs/cgroup/skalds-1/g")); diff != "" {
		t.Error(diff)
	}
}

func TestNoFreezer(t *testing.T) {
	f := newFake(t, unified, "0::/\n", map[string]string{"/sys/fs/cgroup": "root " + all})
	f.lacks["cgroup.freeze"] = true
	g := made(t, treeOf(t, f), Limits{})
	if err := g.Freeze(t.Context()); !errors.Is(err, ErrNoFreezer) {
		t.Error(err)
	}
}
