package procstats

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the kernel's USER_HZ, which is 100 on every architecture that Linux still supports (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

var bufs = sync.Pool{New: func() any { b := make([]byte, 8192); return &b }}

// List reads the whole process table in one pass over /proc. Processes that end meanwhile are left out.
func List() ([]Process, error) {
	pids, err := appendPIDs(nil)
	if err != nil {
		return nil, err
	}
	out := make([]Process, 0, len(pids))
	for _, pid := range pids {
		if p, err := Read(pid); err == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// Read reads one process. It fails with os.ErrNotExist where there is none.
func Read(pid int) (Process, error) {
	buf := bufs.Get().(*[]byte)
	defer bufs.Put(buf)
	b, err := readFile(procPath(pid, "stat"), *buf)
	if err != nil {
		return Process{}, err
	}
	return parseStat(pid, b)
}

// parseStat reads proc_pid_stat(5). The second field, the command, may contain anything, also brackets.
func parseStat(pid int, b []byte) (Process, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 || i+2 >= len(b) {
		return Process{}, fmt.Errorf("process %d: stat is cut short", pid)
	}
	rest := b[i+2:]
	state := rest[0]
	var f [22]int64 // fields 3 to 24; the first is no number
	if n := parseNumbers(f[1:], rest[1:]); n < len(f)-1 {
		return Process{}, fmt.Errorf("process %d: stat has a fault in field %d", pid, n+4)
	}
	at := func(field int) int64 { return f[field-3] }
	return Process{
		ID: ID{PID: pid, Start: uint64(at(22))}, PPID: int(at(4)), PGID: int(at(5)), Session: int(at(6)), State: state,
		CPU:      time.Duration(at(14)+at(15)+at(16)+at(17)) * tick,
		RSSBytes: at(24) * int64(os.Getpagesize()),
		Threads:  int(at(20)),
	}, nil
}

// ChargedBytes is what a memory limit counts of one process: anonymous and shared memory and swap, from
// proc_pid_status(5). Files mapped into memory do not count.
func ChargedBytes(pid int) (int64, error) {
	return sumFields(procPath(pid, "status"), "RssAnon:", "RssShmem:", "VmSwap:")
}

// beyondAnonymous is the part of ChargedBytes that is not anonymous memory.
func beyondAnonymous(pid int) (int64, error) {
	return sumFields(procPath(pid, "status"), "RssShmem:", "VmSwap:")
}

// residentBytes are a process's anonymous memory, and what it maps of files and of shared memory, both resident, from the
// short /proc/PID/statm, which costs a third of status.
func residentBytes(pid int) (own, others int64, err error) {
	buf := bufs.Get().(*[]byte)
	defer bufs.Put(buf)
	b, err := readFile(procPath(pid, "statm"), *buf)
	if err != nil {
		return 0, 0, err
	}
	return parseStatm(pid, b)
}

// parseStatm reads the beginning of /proc/PID/statm.
func parseStatm(pid int, b []byte) (own, others int64, err error) {
	var pages [3]int64 // size, resident, shared
	if n := parseNumbers(pages[:], b); n < len(pages) {
		return 0, 0, fmt.Errorf("process %d: statm has a fault in field %d", pid, n+1)
	}
	page := int64(os.Getpagesize())
	return (pages[1] - pages[2]) * page, pages[2] * page, nil
}

// PSSBytes is the proportional set size: every shared page divided by the number of its users.
func PSSBytes(pid int) (int64, error) {
	return sumFields(procPath(pid, "smaps_rollup"), "Pss:", "SwapPss:")
}

// sumFields adds up "Name:   123 kB" lines.
func sumFields(path string, names ...string) (int64, error) {
	buf := bufs.Get().(*[]byte)
	defer bufs.Put(buf)
	b, err := readFile(path, *buf)
	if err != nil {
		return 0, err
	}
	var sum int64
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		for _, name := range names {
			v, ok := bytes.CutPrefix(line, []byte(name))
			if !ok {
				continue
			}
			kb, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(v), []byte("kB")))), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s: %w", path, err)
			}
			sum += kb << 10
		}
	}
	return sum, nil
}

// parseNumbers reads decimal numbers between spaces into out until it is full, and says how many there were. What exceeds
// 63 bits is cut, which no figure does that we use.
func parseNumbers(out []int64, b []byte) (n int) {
	for ; n < len(out); n++ {
		for len(b) > 0 && (b[0] == ' ' || b[0] == '\n') {
			b = b[1:]
		}
		negative := len(b) > 0 && b[0] == '-'
		if negative {
			b = b[1:]
		}
		digits := 0
		var v int64
		for digits < len(b) && '0' <= b[digits] && b[digits] <= '9' {
			v = v*10 + int64(b[digits]-'0')
			digits++
		}
		b = b[digits:]
		if digits == 0 || len(b) > 0 && b[0] != ' ' && b[0] != '\n' {
			return n
		}
		if negative {
			v = -v
		}
		out[n] = v
	}
	return n
}

func procPath(pid int, file string) string { return "/proc/" + strconv.Itoa(pid) + "/" + file }

// SwappedBytes is what the machine has swapped out.
func SwappedBytes() int64 {
	var s unix.Sysinfo_t
	if err := unix.Sysinfo(&s); err != nil {
		return 0
	}
	return int64(s.Totalswap-s.Freeswap) * int64(s.Unit)
}

// Environ reads one variable of a process's initial environment.
func Environ(pid int, key string) (string, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return "", false
	}
	for v := range bytes.SplitSeq(b, []byte{0}) {
		if rest, ok := bytes.CutPrefix(v, []byte(key+"=")); ok {
			return string(rest), true
		}
	}
	return "", false
}

// Orphans lists children of this process that its main thread has been given by the kernel: processes whose parents died
// (see prctl PR_SET_CHILD_SUBREAPER), and what was started by that thread. ok is false where the kernel cannot tell.
func Orphans() (pids []int, ok bool) {
	self := strconv.Itoa(os.Getpid())
	b, err := os.ReadFile("/proc/self/task/" + self + "/children")
	if err != nil {
		return nil, false
	}
	for f := range bytes.FieldsSeq(b) {
		if pid, err := strconv.Atoi(string(f)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, true
}

// OOMKills counts what the kernel has killed for memory since boot, over the whole machine.
func OOMKills() int64 {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		if v, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			n, _ := strconv.ParseInt(string(v), 10, 64)
			return n
		}
	}
	return 0
}

// BootID changes with every start of the machine.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// readFile reads a small file of /proc with three system calls.
func readFile(path string, buf []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			if errors.Is(err, unix.ESRCH) {
				err = os.ErrNotExist
			}
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if m == 0 {
			break
		}
		n += m
	}
	return buf[:n], nil
}
