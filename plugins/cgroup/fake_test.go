package cgroup

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// fake plays the kernel on files in a folder: which files a group has, and what can be written where. What it does not play,
// it takes as any other file. Writes are kept.
type fake struct {
	t        *testing.T
	root     string
	readOnly string          // a mount where nothing can be changed
	foreign  string          // a group where this user can make nothing
	lacks    map[string]bool // files that this kernel does not have
	busy     string          // a file that cannot be written for now
	written  []string        // "path below the root: value"
}

// hybrid, unified and legacy are how machines mount control groups.
var (
	unified = `30 1 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate`
	hybrid  = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
38 31 0:35 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`
	legacy = hybrid[:strings.LastIndex(hybrid, "\n")]
)

// newFake makes a machine: mountinfo, the own groups as /proc/self/cgroup says them, and the groups that are there with the
// controllers of each, behind the word root for the root of the machine. Those of version 1 are known by the path.
func newFake(t *testing.T, mountinfo, own string, groups map[string]string) *fake {
	t.Helper()
	f := &fake{t: t, root: t.TempDir(), lacks: map[string]bool{}}
	f.put("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/root rw\n"+mountinfo+"\n")
	f.put("/proc/self/cgroup", own)
	paths := make([]string, 0, len(groups))
	for p := range groups {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		if err := os.MkdirAll(f.root+p, 0o755); err != nil {
			t.Fatal(err)
		}
		controllers, isRoot := strings.CutPrefix(groups[p], "root ")
		f.populate(p, controllers, isRoot)
	}
	return f
}

func (f *fake) put(path, content string) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Dir(f.root+path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(f.root+path, []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) get(path string) string {
	f.t.Helper()
	b, err := os.ReadFile(f.root + path)
	if err != nil {
		f.t.Error(err)
	}
	return string(b)
}

// files are those of a group by controller: of version 2 and of version 1.
var files = map[int]map[string][]string{
	2: {
		"":       {"cgroup.procs=", "cgroup.threads=", "cgroup.subtree_control=", "cpu.stat=usage_usec 0\n"},
		"inner":  {"cgroup.kill=", "cgroup.freeze=0\n", "cgroup.events=populated 0\nfrozen 0\n", "memory.pressure=some avg10=1.50 avg60=0.00\n"},
		"memory": {"memory.max=max\n", "memory.swap.max=max\n", "memory.oom.group=0\n", "memory.current=0\n", "memory.stat=inactive_file 0\nactive_file 0\n", "memory.events=oom 0\noom_kill 0\n", "memory.peak=0\n"},
		"cpu":    {"cpu.max=max 100000\n", "cpu.weight=100\n"},
		"pids":   {"pids.max=max\n", "pids.current=0\n", "pids.events=max 0\n"},
		"io":     {"io.max=", "io.weight=default 100\n"},
	},
	1: {
		"":        {"cgroup.procs=", "tasks="},
		"memory":  {"memory.limit_in_bytes=9223372036854771712\n", "memory.memsw.limit_in_bytes=9223372036854771712\n", "memory.swappiness=60\n", "memory.usage_in_bytes=0\n", "memory.stat=total_inactive_file 0\ntotal_active_file 0\n", "memory.oom_control=oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "memory.max_usage_in_bytes=0\n"},
		"cpu":     {"cpu.cfs_quota_us=-1\n", "cpu.cfs_period_us=100000\n", "cpu.stat=nr_periods 0\nthrottled_time 0\n"},
		"cpuacct": {"cpuacct.usage=0\n"},
		"pids":    {"pids.max=max\n", "pids.current=0\n", "pids.events=max 0\n"},
		"blkio":   {"blkio.weight=500\n"},
		"freezer": {"freezer.state=THAWED\n"},
	},
}

// populate gives a directory the files of a group. The controllers of version 1 are those in the path.
func (f *fake) populate(path, controllers string, root bool) {
	version, list := 1, strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == ',' })
	if f.version2(path) {
		version, list = 2, strings.Fields(controllers)
		f.put(path+"/cgroup.controllers", controllers+"\n")
		if !root {
			list = append(list, "inner")
		}
	}
	for _, c := range append(list, "") {
		if root && version == 2 && c != "" {
			continue // the root of the machine has no limits
		}
		for _, file := range files[version][c] {
			if name, content, _ := strings.Cut(file, "="); !f.lacks[name] && !exists(f.root+path+"/"+name) {
				f.put(path+"/"+name, content)
			}
		}
	}
}

// version2 says to which version a path belongs.
func (f *fake) version2(path string) bool {
	best, is := "", false
	for _, m := range parseMounts(f.get("/proc/self/mountinfo")) {
		if strings.HasPrefix(path, m.point) && len(m.point) > len(best) {
			best, is = m.point, m.version == 2
		}
	}
	return is
}

func (f *fake) below(path string) string { return strings.TrimPrefix(path, f.root) }

func (f *fake) refuses(path string) error {
	switch {
	case f.readOnly != "" && strings.HasPrefix(path, f.readOnly):
		return syscall.EROFS
	case f.foreign != "" && path == f.foreign:
		return syscall.EACCES
	}
	return nil
}

func (f *fake) mkdir(path string) error {
	at := f.below(path)
	parent := filepath.Dir(at)
	if err := f.refuses(parent); err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	handed := ""
	if f.version2(at) {
		handed = strings.TrimSpace(f.get(parent + "/cgroup.subtree_control"))
	}
	f.populate(at, handed, false)
	return nil
}

func (f *fake) rmdir(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			return &fs.PathError{Op: "rmdir", Path: path, Err: syscall.EBUSY}
		}
	}
	if f.get(f.below(path)+"/cgroup.procs") != "" {
		return &fs.PathError{Op: "rmdir", Path: path, Err: syscall.EBUSY}
	}
	return os.RemoveAll(path)
}

func (f *fake) write(path, value string) error {
	at, failed := f.below(path), func(errno syscall.Errno) error {
		return &fs.PathError{Op: "write " + value + " to", Path: path, Err: errno}
	}
	dir, name := filepath.Dir(at), filepath.Base(at)
	switch {
	case !exists(path):
		return failed(syscall.ENOENT)
	case f.refuses(dir) != nil:
		return failed(f.refuses(dir).(syscall.Errno))
	case f.busy == name:
		return failed(syscall.EBUSY)
	}
	content := value + "\n"
	switch name {
	case "cgroup.subtree_control":
		c := strings.TrimPrefix(value, "+")
		isRoot := !exists(f.root + dir + "/cgroup.events") // it alone may hold processes and hand on controllers
		switch has := strings.Fields(f.get(dir + "/cgroup.controllers")); {
		case !slices.Contains(has, c):
			return failed(syscall.ENOENT)
		case !isRoot && f.get(dir+"/cgroup.procs") != "":
			return failed(syscall.EBUSY)
		}
		content = strings.Join(append(strings.Fields(f.get(at)), c), " ") + "\n"
		below, err := children(f.root + dir)
		if err != nil {
			return err
		}
		for _, b := range below {
			f.populate(f.below(b), strings.TrimSpace(content), false)
		}
	case "cgroup.procs":
		f.leave(value, dir)
		content = f.get(at) + value + "\n"
	case "cgroup.kill":
		f.put(dir+"/cgroup.procs", "")
		content = ""
	case "cgroup.freeze":
		f.put(dir+"/cgroup.events", fmt.Sprintf("populated 0\nfrozen %s\n", value))
	case "memory.memsw.limit_in_bytes", "memory.limit_in_bytes":
		now := map[string]string{"memory.memsw.limit_in_bytes": "", "memory.limit_in_bytes": ""}
		if exists(f.root + dir + "/memory.memsw.limit_in_bytes") {
			for k := range now {
				now[k] = strings.TrimSpace(f.get(dir + "/" + k))
			}
			now[name] = value
			if number(now["memory.limit_in_bytes"]) > number(now["memory.memsw.limit_in_bytes"]) {
				return failed(syscall.EINVAL)
			}
		}
		if value == "-1" {
			content = "9223372036854771712\n"
		}
	case "cpu.cfs_quota_us":
		parent := f.root + filepath.Dir(dir) + "/cpu.cfs_quota_us"
		if most, err := readNumber(parent); err == nil && most > 0 && value != "-1" && number(value) > most {
			return failed(syscall.EINVAL)
		}
	}
	f.put(at, content)
	f.written = append(f.written, at+": "+value)
	return nil
}

// leave takes a process out of the other groups of a hierarchy.
func (f *fake) leave(pid, to string) {
	for _, m := range parseMounts(f.get("/proc/self/mountinfo")) {
		if !strings.HasPrefix(to, m.point) {
			continue
		}
		_ = filepath.WalkDir(f.root+m.point, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.Name() == "cgroup.procs" {
				at := f.below(path)
				f.put(at, strings.ReplaceAll(f.get(at), pid+"\n", ""))
			}
			return nil
		})
	}
}

func number(s string) int64 {
	n, err := parseNumber(s)
	if err != nil {
		panic(err)
	}
	if n < 0 {
		return 1 << 62
	}
	return n
}

// tree is what is found on the machine.
func (f *fake) tree(parent string) (*Tree, error) {
	return detect(Config{Name: "skalds-1", Parent: parent, Root: f.root}, f)
}

// writes are those into a group since the last call, without its path.
func (f *fake) writes(group string) (list []string) {
	for _, w := range f.written {
		if rest, ok := strings.CutPrefix(w, group+"/"); ok {
			list = append(list, rest)
		}
	}
	f.written = nil
	return list
}
