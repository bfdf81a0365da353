package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// trivialSource is a small static program: it joins the files that it is told, and becomes another one. Written to with "0",
// cgroup.procs takes its process and tasks its thread; since exec ends all other threads, either is enough.
const trivialSource = `package main

import (
	"os"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	runtime.LockOSThread()
	for _, path := range strings.Split(os.Args[1], ":") {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			panic(err)
		}
		if _, err := f.WriteString("0"); err != nil {
			panic(err)
		}
		f.Close()
	}
	panic(syscall.Exec(os.Args[2], os.Args[2:], nil))
}
`

func build(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(trivialSource), 0o644); err != nil {
		b.Fatal(err)
	}
	out := filepath.Join(dir, "trivial")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", out, "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if said, err := cmd.CombinedOutput(); err != nil {
		b.Skipf("cannot build: %v\n%s", err, said)
	}
	return out
}

// BenchmarkJoin compares the ways into a fresh group of version 2 and three of version 1 before the first instruction. Each is
// measured from the fork to the end of a trivial program, in ever new order; medians are reported. Making and removing the group
// is apart.
func BenchmarkJoin(b *testing.B) {
	tree := onThisMachine(b)
	trivial := build(b)
	limits := Limits{MemoryBytes: 256 << 20, CPUCores: 1, PIDs: 100}
	took := map[string][]time.Duration{}
	note := func(what string, since time.Time) { took[what] = append(took[what], time.Since(since)) }
	run := func(g *Group, unified, enter bool, path string, args ...string) error {
		cmd := exec.Command(path, args...)
		j, err := g.Join()
		if err != nil {
			return err
		}
		defer func() { _ = j.Close() }()
		if unified && j.UnifiedFD >= 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: j.UnifiedFD}
		}
		if !enter {
			return cmd.Run()
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		begin := time.Now()
		if err := j.Enter(); err != nil {
			return err
		}
		note("b1-enter", begin)
		if err := cmd.Start(); err != nil {
			return errors.Join(err, j.Leave())
		}
		begin = time.Now()
		if err := j.Leave(); err != nil {
			return err
		}
		note("b2-leave", begin)
		return cmd.Wait()
	}
	ways := []struct {
		name string
		run  func(g *Group) error
	}{
		{"0-plain", func(g *Group) error { return run(g, false, false, trivial) }},
		{"a-unified", func(g *Group) error { return run(g, true, false, trivial) }},
		{"b-thread", func(g *Group) error { return run(g, true, true, trivial) }},
		{"c-helper-procs", func(g *Group) error {
			return run(g, true, false, trivial, strings.Join(files1(g, "cgroup.procs"), ":"), trivial)
		}},
		{"c-helper-tasks", func(g *Group) error {
			return run(g, true, false, trivial, strings.Join(files1(g, "tasks"), ":"), trivial)
		}},
		{"c-helper-alone", func(g *Group) error {
			return run(g, true, false, trivial, "/dev/null", trivial)
		}},
	}
	// A helper of the host's size does nothing but say its version: what it costs to start one is the difference to 0.
	if big := os.Getenv("CGROUP_BENCH_HELPER"); big != "" {
		ways = append(ways, struct {
			name string
			run  func(g *Group) error
		}{"d-big", func(g *Group) error { return run(g, true, false, big, "version") }})
	}
	for b.Loop() {
		rand.Shuffle(len(ways), func(i, k int) { ways[i], ways[k] = ways[k], ways[i] })
		for _, w := range ways {
			begin := time.Now()
			g, err := tree.New(fmt.Sprint("g", probes.Add(1)), limits)
			if err != nil {
				b.Fatal(err)
			}
			note("new", begin)
			begin = time.Now()
			if err := w.run(g); err != nil {
				b.Fatalf("%s: %v", w.name, err)
			}
			note(w.name, begin)
			begin = time.Now()
			if err := g.Remove(); err != nil {
				b.Fatal(err)
			}
			note("remove", begin)
		}
	}
	b.ReportMetric(0, "ns/op")
	var table strings.Builder
	for _, name := range slices.Sorted(maps.Keys(took)) {
		list := took[name]
		slices.Sort(list)
		least, median, p95 := list[0], list[len(list)/2], list[len(list)*95/100]
		b.ReportMetric(float64(median.Microseconds()), "µs-"+name)
		fmt.Fprintf(&table, "\n%-16s n %4d, µs: min %5d, median %5d, p95 %5d", name, len(list), least.Microseconds(), median.Microseconds(), p95.Microseconds())
	}
	b.Log(table.String())
}

func files1(g *Group, name string) (list []string) {
	for _, d := range g.dirs {
		if d.version == 1 {
			list = append(list, d.file(name))
		}
	}
	return list
}

// BenchmarkStat is one look at a group with all limits and one process, whole and in short.
func BenchmarkStat(b *testing.B) {
	tree := onThisMachine(b)
	g := newGroup(b, tree, Limits{All: true})
	start(b, g, "wait").line(b)
	for name, look := range map[string]func() (Stat, error){"whole": g.Stat, "glance": g.Glance} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := look(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRead compares a file that is kept open with one that is opened for each look.
func BenchmarkRead(b *testing.B) {
	tree := onThisMachine(b)
	g := newGroup(b, tree, Limits{All: true})
	start(b, g, "wait").line(b)
	buf := make([]byte, 16<<10)
	for _, of := range []struct {
		controller controller
		file       string
	}{{memory, "memory.usage_in_bytes"}, {memory, "memory.stat"}, {memory, "memory.oom_control"}, {pids, "pids.current"}, {"", "cpu.stat"}, {"", "cgroup.procs"}} {
		d := g.unified()
		if of.controller != "" {
			d = g.dir(of.controller)
		}
		if d == nil || !exists(d.file(of.file)) {
			continue
		}
		b.Run(of.file+"/kept", func(b *testing.B) {
			fd, err := unix.Open(d.file(of.file), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = unix.Close(fd) }()
			for b.Loop() {
				if _, err := pread(fd, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(of.file+"/opened", func(b *testing.B) {
			for b.Loop() {
				if _, err := slurp(d.file(of.file), buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
