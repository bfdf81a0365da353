package cgroup

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	service = "/sys/fs/cgroup/system.slice/skalds.service"
	all     = "cpuset cpu io memory hugetlb pids rdma"
)

// v1 are the groups of version 1 at the top of each mount.
func v1(more map[string]string) map[string]string {
	groups := map[string]string{"/sys/fs/cgroup/unified": "root hugetlb"}
	for _, c := range []string{"cpu,cpuacct", "memory", "devices", "freezer", "blkio", "pids", "systemd"} {
		groups["/sys/fs/cgroup/"+c] = ""
	}
	for k, v := range more {
		groups[k] = v
	}
	return groups
}

const atTheTop = "8:pids:/\n7:blkio:/\n6:freezer:/\n5:devices:/\n4:memory:/\n1:cpu,cpuacct:/\n9:name=systemd:/\n0::/\n"

var (
	byVersion2 = Controllers{Memory: Version2, CPU: Version2, PIDs: Version2, IO: Version2, Kill: Version2, Freeze: Version2}
	byVersion1 = Controllers{Memory: Version1, CPU: Version1, PIDs: Version1, IO: Version1}
)

func TestDetect(t *testing.T) {
	self := fmt.Sprintf("%d\n", os.Getpid())
	both := byVersion1
	both.Kill, both.Freeze = Version2, Version2
	onlyFreezer := byVersion1
	onlyFreezer.Freeze = Version1
	for _, test := range []struct {
		name           string
		mountinfo, own string
		groups         map[string]string
		change         func(*fake)
		parent         string
		want           Controllers
		dir            string   // where a group without limits is, in the first hierarchy
		reasons        []string // parts of them
		procs          map[string]string
		unavailable    bool
	}{
		{
			name:      "unified, at the root of the machine",
			mountinfo: unified, own: "0::/\n",
			groups: map[string]string{"/sys/fs/cgroup": "root " + all},
			change: func(f *fake) { f.put("/sys/fs/cgroup/cgroup.procs", self) },
			want:   byVersion2, dir: "/sys/fs/cgroup/skalds-1/g",
			procs: map[string]string{"/sys/fs/cgroup": self},
		},
		{
			name:      "unified, delegated",
			mountinfo: unified, own: "0::/system.slice/skalds.service\n",
			groups: map[string]string{"/sys/fs/cgroup": "root " + all, service: "cpu io memory pids"},
			change: func(f *fake) { f.put(service+"/cgroup.procs", self) },
			want:   byVersion2, dir: service + "/skalds-1/g",
			procs: map[string]string{service: "", service + "/skalds-host": self},
		},
		{
			name:      "unified, delegated, started by a host that had to move",
			mountinfo: unified, own: "0::/system.slice/skalds.service/skalds-host\n",
			groups: map[string]string{"/sys/fs/cgroup": "root " + all, service: "cpu io memory pids", service + "/skalds-host": ""},
			change: func(f *fake) { f.put(service+"/skalds-host/cgroup.procs", self) },
			want:   byVersion2, dir: service + "/skalds-1/g",
			procs: map[string]string{service + "/skalds-host": self},
		},
		{
			name:      "unified, delegated, not alone in the group",
			mountinfo: unified, own: "0::/system.slice/skalds.service\n",
			groups: map[string]string{"/sys/fs/cgroup": "root " + all, service: "cpu io memory pids"},
			change: func(f *fake) { f.put(service+"/cgroup.procs", "1\n"+self) },
			want:   Controllers{Kill: Version2, Freeze: Version2}, dir: service + "/skalds-1/g",
			reasons: []string{"memory: other processes live in the group", "Delegate=yes"},
			procs:   map[string]string{service: "1\n" + self},
		},
		{
			name:      "unified, delegated in part",
			mountinfo: unified, own: "0::/system.slice/skalds.service\n",
			groups: map[string]string{"/sys/fs/cgroup": "root " + all, service: "memory pids"},
			want:   Controllers{Memory: Version2, PIDs: Version2, Kill: Version2, Freeze: Version2}, dir: service + "/skalds-1/g",
			reasons: []string{"cpu: the group ", "was not given this controller", "io: ", "\nrun this as a systemd service with Delegate=yes"},
		},
		{
			name:      "unified, not delegated",
			mountinfo: unified, own: "0::/system.slice/skalds.service\n",
			groups:      map[string]string{"/sys/fs/cgroup": "root " + all, service: ""},
			change:      func(f *fake) { f.foreign = service },
			unavailable: true, reasons: []string{"version 2: ", "permission denied", "Delegate=yes"},
		},
		{
			name:      "unified, in a container with its own view",
			mountinfo: unified, own: "0::/\n",
			groups: map[string]string{"/sys/fs/cgroup": all}, // it looks like the root and is none
			change: func(f *fake) { f.put("/sys/fs/cgroup/cgroup.procs", self) },
			want:   byVersion2, dir: "/sys/fs/cgroup/skalds-1/g",
			procs: map[string]string{"/sys/fs/cgroup": "", "/sys/fs/cgroup/skalds-host": self},
		},
		{
			name:      "unified, in a container that may not write",
			mountinfo: unified, own: "0::/\n",
			groups:      map[string]string{"/sys/fs/cgroup": all},
			change:      func(f *fake) { f.readOnly = "/sys/fs/cgroup" },
			unavailable: true, reasons: []string{"read-only", "give the container a /sys/fs/cgroup that it may write"},
		},
		{
			name:      "unified, in a container that sees itself from outside",
			mountinfo: strings.Replace(unified, " / /sys", " /docker/0af3 /sys", 1), own: "0::/docker/0af3\n",
			groups: map[string]string{"/sys/fs/cgroup": all},
			want:   byVersion2, dir: "/sys/fs/cgroup/skalds-1/g",
		},
		{
			name:      "unified, own group out of sight",
			mountinfo: strings.Replace(unified, " / /sys", " /docker/0af3 /sys", 1), own: "0::/docker/0af34\n",
			groups:      map[string]string{"/sys/fs/cgroup": all},
			unavailable: true, reasons: []string{"is not to be seen at /sys/fs/cgroup"},
		},
		{
			name:      "unified, below a parent that was asked for",
			mountinfo: unified, own: "0::/system.slice/skalds.service\n",
			groups: map[string]string{"/sys/fs/cgroup": "root " + all, service: ""},
			parent: "/skalds.slice/tasks",
			want:   byVersion2, dir: "/sys/fs/cgroup/skalds.slice/tasks/skalds-1/g",
		},
		{
			name:      "unified, an old kernel",
			mountinfo: unified, own: "0::/\n",
			groups: map[string]string{"/sys/fs/cgroup": "root " + all},
			change: func(f *fake) {
				f.lacks["cgroup.kill"], f.lacks["cgroup.freeze"], f.lacks["io.weight"] = true, true, true
			},
			want: Controllers{Memory: Version2, CPU: Version2, PIDs: Version2}, dir: "/sys/fs/cgroup/skalds-1/g",
			reasons: []string{"io: the kernel offers no such limit"},
		},
		{
			name:      "version 1 alone",
			mountinfo: legacy, own: atTheTop, groups: v1(nil),
			want: onlyFreezer, dir: "/sys/fs/cgroup/freezer/skalds-1/g",
		},
		{
			name:      "version 1 without a weight of disks",
			mountinfo: legacy, own: atTheTop, groups: v1(nil),
			change: func(f *fake) { f.lacks["blkio.weight"] = true },
			want:   Controllers{Memory: Version1, CPU: Version1, PIDs: Version1, Freeze: Version1}, dir: "/sys/fs/cgroup/freezer/skalds-1/g",
			reasons: []string{"io: the kernel offers no such limit"},
		},
		{
			name:      "hybrid",
			mountinfo: hybrid, own: strings.Replace(atTheTop, "memory:/", "memory:/api/1", 1),
			groups: v1(map[string]string{"/sys/fs/cgroup/memory/api/1": ""}),
			want:   both, dir: "/sys/fs/cgroup/unified/skalds-1/g",
		},
		{
			name:      "hybrid, version 2 not delegated",
			mountinfo: hybrid, own: atTheTop, groups: v1(nil),
			change: func(f *fake) { f.foreign = "/sys/fs/cgroup/unified" },
			want:   onlyFreezer, dir: "/sys/fs/cgroup/freezer/skalds-1/g",
			reasons: []string{"version 2: ", "permission denied"},
		},
		{
			name:      "hybrid, one controller missing and one forbidden",
			mountinfo: strings.Replace(hybrid, "rw,pids", "rw,perf_event", 1), own: strings.Replace(atTheTop, "8:pids:/\n", "", 1), groups: v1(nil),
			change: func(f *fake) { f.foreign = "/sys/fs/cgroup/memory" },
			want:   Controllers{CPU: Version1, IO: Version1, Kill: Version2, Freeze: Version2}, dir: "/sys/fs/cgroup/unified/skalds-1/g",
			reasons: []string{"memory: ", "permission denied", "pids: the group "},
		},
		{
			name:      "nothing mounted",
			mountinfo: "", own: atTheTop, groups: nil,
			unavailable: true, reasons: []string{"memory: neither version has this controller mounted"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t, test.mountinfo, test.own, test.groups)
			if test.change != nil {
				test.change(f)
			}
			tree, err := f.tree(test.parent)
			said := fmt.Sprint(err)
			if test.unavailable != errors.Is(err, ErrUnavailable) || err != nil && !test.unavailable {
				t.Fatal(err)
			}
			if err == nil {
				said = strings.Join(tree.Reasons(), "\n")
				if diff := cmp.Diff(test.want, tree.Controllers()); diff != "" {
					t.Errorf("%s\n%s", diff, said)
				}
				g, err := tree.New("g", Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if got := f.below(g.Dirs()[0]); got != test.dir || len(g.Dirs()) != 1 {
					t.Errorf("a group is at %v", g.Dirs())
				}
				if err := errors.Join(g.Remove(), tree.Remove()); err != nil {
					t.Error(err)
				}
			}
			for _, want := range test.reasons {
				if !strings.Contains(said, want) {
					t.Errorf("nothing of %q in\n%s", want, said)
				}
			}
			if test.reasons == nil && err == nil && said != "" {
				t.Errorf("it complains: %s", said)
			}
			for group, want := range test.procs {
				if got := f.get(group + "/cgroup.procs"); got != want {
					t.Errorf("in %s are %q, want %q", group, got, want)
				}
			}
		})
	}
}

func TestNamesThatCannotBe(t *testing.T) {
	f := newFake(t, unified, "0::/\n", map[string]string{"/sys/fs/cgroup": "root " + all})
	for _, name := range []string{"", ".", "..", "a/b", "skalds-host"} {
		if _, err := detect(Config{Name: name, Root: f.root}, f); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	tree, err := f.tree("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "..", "../x", "a\nb"} {
		if _, err := tree.New(name, Limits{}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts(hybrid + "\n50 31 0:40 /a\\040b /mnt/c\\134d rw master:1 propagate_from:2 - cgroup2 none rw\nshort - line\n\\\n")
	if len(got) != 9 {
		t.Fatalf("%+v", got)
	}
	if m := got[8]; m.version != 2 || m.root != "/a b" || m.point != `/mnt/c\d` {
		t.Errorf("%+v", m)
	}
	if m := got[0]; !m.has("cpu") || !m.has("cpuacct") || m.has("memory") {
		t.Errorf("%+v", m)
	}
}

func FuzzParseMounts(f *testing.F) {
	f.Add(hybrid)
	f.Add("1 1 1:1 /\\ /\\04 rw - cgroup x y")
	f.Fuzz(func(t *testing.T, s string) {
		for _, m := range parseMounts(s) {
			if dir, err := m.dir("/a/b"); err == nil && !strings.HasPrefix(dir, strings.TrimSuffix(m.point, "/")) {
				t.Errorf("%+v: %s", m, dir)
			}
		}
	})
}

func FuzzParseOwn(f *testing.F) {
	f.Add(atTheTop)
	f.Fuzz(func(t *testing.T, s string) {
		for controllers, path := range parseOwn(s) {
			if strings.Contains(controllers, ",") || strings.Contains(path, "\n") {
				t.Errorf("%q: %q", controllers, path)
			}
		}
	})
}

func FuzzValueOf(f *testing.F) {
	f.Add([]byte("oom 0\noom_kill 3\n"), "oom_kill")
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		if n, ok := valueOf(b, key); !ok && n != 0 && !slices.Contains([]int64{-1 << 63, 1<<63 - 1}, n) {
			t.Errorf("%d without a value", n)
		}
	})
}
