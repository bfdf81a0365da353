package shim

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// endedChild is a child that has ended and waits to be reaped; 0: none, -1: there is no child at all.
func endedChild() int {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch {
		case err == nil:
			return infoPID(&info)
		case !errors.Is(err, unix.EINTR):
			return -1
		}
	}
}

// infoPID is si_pid of a siginfo_t, which stands behind three numbers, aligned as a pointer is: see sigaction(2).
func infoPID(info *unix.Siginfo) int {
	at := uintptr(12)
	if unsafe.Sizeof(at) == 8 {
		at = 16
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), at)))
}

// exitOf reads a wait status. A process begins with the memory mark of the one that forked it, so one that is not above ours
// says nothing.
func exitOf(ws syscall.WaitStatus, ru *unix.Rusage, why string) *Exit {
	x := &Exit{Status: ws, Why: why, CPU: time.Duration(ru.Utime.Nano() + ru.Stime.Nano())}
	var own unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &own) == nil && ru.Maxrss > own.Maxrss {
		x.MaxRSS = ru.Maxrss << 10 // Linux counts in KiB
	}
	return x
}

// children are our own.
func children() []int { return childrenOf(os.Getpid()) }

// childrenOf are the children of all threads of a process, zombies included.
func childrenOf(pid int) (pids []int) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task/"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, t := range threads {
		b, err := os.ReadFile(dir + t.Name() + "/children")
		if err != nil {
			continue
		}
		for f := range bytes.FieldsSeq(b) {
			if pid, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// bootTime is CLOCK_BOOTTIME, which goes on while the machine sleeps.
func bootTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
