package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Stat is what a group has used so far and uses now. What no controller of the group measures is zero, and not Known.
type Stat struct {
	// CPU is the time of all who are or were in the group.
	CPU      time.Duration
	CPUKnown bool
	// Throttled is how long the group has waited because of its limit.
	Throttled time.Duration
	// MemoryBytes is all that counts against the limit; WorkingSetBytes leaves out file pages that nobody has used lately.
	MemoryBytes, WorkingSetBytes int64
	// MemoryPeakBytes is the most that MemoryBytes has been; on kernels that do not say it, the most that was seen.
	MemoryPeakBytes int64
	MemoryKnown     bool
	// Processes and Threads are those that live in the group.
	Processes, Threads int
	// OOMKills is how many members the kernel has killed because of the memory limit.
	OOMKills int64
	// RefusedForks is how often a process or thread was not made because of the limit of processes.
	RefusedForks int64
}

// gauges are the files of a group that are read in every round, kept open: opening costs more than reading.
type gauges struct {
	cpu      gauge
	memory   gauge
	inactive gauge
	pids     gauge
}

// gauge is one file, and its descriptor if that is kept; -1 if not, 0 if it was not opened yet.
type gauge struct {
	path string
	fd   int
}

func (g *gauges) close() {
	if g == nil {
		return
	}
	for _, f := range []*gauge{&g.cpu, &g.memory, &g.inactive, &g.pids} {
		if f.fd > 0 {
			_ = unix.Close(f.fd)
		}
		f.fd = 0
	}
}

// buffers hold one file each; the longest is memory.stat.
var buffers = sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}

// Stat reads what the group uses. It is fs.ErrNotExist where the group has gone.
func (g *Group) Stat() (Stat, error) {
	return g.measure(g.measureCPU, g.measureMemory, g.measureThreads, g.countThrottled, g.countOOM, g.countProcesses)
}

// Glance reads what changes from moment to moment, CPU, the two of memory and Threads, and leaves the rest out: that is a
// fifth of the work, since these files are kept open.
func (g *Group) Glance() (Stat, error) {
	return g.measure(g.measureCPU, g.measureMemory, g.measureThreads)
}

// CPUTime is Stat's CPU alone, at the cost of one read.
func (g *Group) CPUTime() (used time.Duration, known bool, err error) {
	s, err := g.measure(g.measureCPU)
	return s.CPU, s.CPUKnown, err
}

func (g *Group) measure(steps ...func(*Stat, []byte) error) (Stat, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return Stat{}, fmt.Errorf("measure group %s: %w", g.name, os.ErrClosed)
	}
	if g.gauges == nil {
		g.gauges = g.open()
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var s Stat
	for _, step := range steps {
		if err := step(&s, *buf); err != nil {
			if errors.Is(err, unix.ENODEV) {
				err = errors.Join(fs.ErrNotExist, err)
			}
			return Stat{}, fmt.Errorf("measure group %s: %w", g.name, err)
		}
	}
	return s, nil
}

func (g *Group) open() *gauges {
	at := func(d *dir, v2, v1 string) gauge {
		switch {
		case d == nil:
			return gauge{}
		case d.version == 2:
			return gauge{path: d.file(v2)}
		default:
			return gauge{path: d.file(v1)}
		}
	}
	clock := g.unified()
	if clock == nil {
		clock = g.dir(cpuacct)
	}
	return &gauges{
		cpu:      at(clock, "cpu.stat", "cpuacct.usage"),
		memory:   at(g.dir(memory), "memory.current", "memory.usage_in_bytes"),
		inactive: at(g.dir(memory), "memory.stat", "memory.stat"),
		pids:     at(g.dir(pids), "pids.current", "pids.current"),
	}
}

func (g *Group) measureCPU(s *Stat, buf []byte) error {
	b, err := g.gauges.cpu.read(buf)
	if err != nil || b == nil {
		return err
	}
	s.CPUKnown = true
	if g.unified() == nil {
		n, err := parseNumber(string(bytes.TrimSpace(b)))
		s.CPU = time.Duration(n)
		return err
	}
	usage, _ := valueOf(b, "usage_usec")
	s.CPU = time.Duration(usage) * time.Microsecond
	throttled, _ := valueOf(b, "throttled_usec") // with the controller only
	s.Throttled = time.Duration(throttled) * time.Microsecond
	return nil
}

func (g *Group) measureMemory(s *Stat, buf []byte) (err error) {
	d := g.dir(memory)
	if d == nil {
		return nil
	}
	if s.MemoryBytes, err = g.gauges.memory.number(buf); err != nil {
		return err
	}
	b, err := g.gauges.inactive.read(buf)
	if err != nil {
		return err
	}
	inactive, _ := valueOf(b, d.reclaimable()[0])
	s.WorkingSetBytes, s.MemoryKnown = max(s.MemoryBytes-inactive, 0), true
	g.peak = max(g.peak, s.MemoryBytes)
	s.MemoryPeakBytes = g.peak
	return nil
}

func (g *Group) measureThreads(s *Stat, buf []byte) error {
	if g.gauges.pids.path != "" {
		n, err := g.gauges.pids.number(buf)
		s.Threads = int(n)
		return err
	}
	if len(g.dirs) == 0 {
		return fs.ErrNotExist
	}
	n, err := countLines(g.dirs[0].file(when(g.dirs[0].version == 2, "cgroup.threads", "tasks")), buf)
	s.Threads = n
	return err
}

// countThrottled is for version 1: version 2 tells it with the CPU time.
func (g *Group) countThrottled(s *Stat, buf []byte) error {
	d := g.dir(cpu)
	if d == nil || d.version == 2 {
		return nil
	}
	b, err := slurp(d.file("cpu.stat"), buf)
	n, _ := valueOf(b, "throttled_time")
	s.Throttled = time.Duration(n)
	return err
}

func (g *Group) countOOM(s *Stat, buf []byte) error {
	d := g.dir(memory)
	if d == nil {
		return nil
	}
	peak, events := "memory.peak", "memory.events"
	if d.version == 1 {
		peak, events = "memory.max_usage_in_bytes", "memory.oom_control"
	}
	b, err := slurp(d.file(peak), buf)
	if err := gone(err); err != nil {
		return err
	}
	if err == nil { // memory.peak is there since Linux 5.19
		n, err := parseNumber(string(bytes.TrimSpace(b)))
		if err != nil {
			return err
		}
		g.peak = max(g.peak, n)
		s.MemoryPeakBytes = g.peak
	}
	b, err = slurp(d.file(events), buf)
	s.OOMKills, _ = valueOf(b, "oom_kill")
	return err
}

// countProcesses opens the list anew each time: version 1 answers a kept one with what was so a moment ago.
func (g *Group) countProcesses(s *Stat, buf []byte) (err error) {
	if s.Processes, err = countLines(g.dirs[0].file("cgroup.procs"), buf); err != nil {
		return err
	}
	d := g.dir(pids)
	if d == nil {
		return nil
	}
	b, err := slurp(d.file("pids.events"), buf)
	s.RefusedForks, _ = valueOf(b, "max")
	return gone(err) // before Linux 4.8
}

// Pressure is the share of the last ten seconds, in percent, for which somebody in the group waited for memory. ok is false
// where the kernel does not say.
func (g *Group) Pressure() (percent float64, ok bool) {
	d := g.unified()
	if d == nil {
		return 0, false
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	b, err := slurp(d.file("memory.pressure"), *buf)
	if err != nil {
		return 0, false
	}
	_, rest, found := bytes.Cut(b, []byte("some avg10="))
	value, _, _ := bytes.Cut(rest, []byte(" "))
	percent, err = strconv.ParseFloat(string(value), 64)
	return percent, found && err == nil
}

// reclaimable are the lines of memory.stat about file pages, those that were not used lately first.
func (d dir) reclaimable() [2]string {
	if d.version == 2 {
		return [2]string{"inactive_file", "active_file"}
	}
	return [2]string{"total_inactive_file", "total_active_file"}
}

// unreclaimable is the memory that the kernel cannot take back without killing. Where all that is used is not more than enough
// it is that: what could be taken back costs more to read than all else that sets limits.
func (d dir) unreclaimable(enough int64) (int64, error) {
	now, err := readNumber(d.file(when(d.version == 2, "memory.current", "memory.usage_in_bytes")))
	if err != nil || now <= enough {
		return now, err
	}
	b, err := os.ReadFile(d.file("memory.stat"))
	if err != nil {
		return 0, err
	}
	for _, key := range d.reclaimable() {
		n, _ := valueOf(b, key)
		now -= n
	}
	return now, nil
}

// read gives the file; nothing where there is none. Where half of the descriptors are used it is not kept open: the others are
// worth more elsewhere.
func (f *gauge) read(buf []byte) ([]byte, error) {
	if f.path == "" {
		return nil, nil
	}
	if f.fd == 0 {
		f.fd = openKept(f.path)
	}
	if f.fd < 0 {
		return slurp(f.path, buf)
	}
	n, err := pread(f.fd, buf)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: f.path, Err: err}
	}
	return buf[:n], nil
}

func (f *gauge) number(buf []byte) (int64, error) {
	b, err := f.read(buf)
	if err != nil {
		return 0, err
	}
	return parseNumber(string(bytes.TrimSpace(b)))
}

func openKept(path string) int {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || fd == 0 || uint64(fd) > limit.Cur/2 {
		_ = unix.Close(fd)
		return -1
	}
	return fd
}

// slurp reads a file that fits into buf.
func slurp(path string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := pread(fd, buf)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return buf[:n], nil
}

func countLines(path string, buf []byte) (lines int, err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		var n int
		err := retried(func() (err error) { n, err = unix.Read(fd, buf); return err })
		switch {
		case err != nil:
			return 0, &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return lines, nil
		}
		lines += bytes.Count(buf[:n], []byte("\n"))
	}
}

// valueOf finds the number behind a key at the start of a line.
func valueOf(b []byte, key string) (int64, bool) {
	for line := range bytes.Lines(b) {
		name, value, ok := bytes.Cut(line, []byte(" "))
		if !ok || string(name) != key {
			continue
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		return n, err == nil
	}
	return 0, false
}
