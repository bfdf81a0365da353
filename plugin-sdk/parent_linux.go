package sdk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// parentEvery is the time between two looks at the parent.
	parentEvery = 600 * time.Millisecond
	// parentLooks is in how many looks in a row a parent must be seen stopped: one who stops a whole family and lets it go on
	// may let the children go first.
	parentLooks = 2
)

// parent is the process that supervises this one. Its death tells itself, but one that is stopped keeps the liveness pipe
// open and supervises nobody, and no signal tells its children.
type parent struct {
	stat    int // descriptor, tied to the process and not to its number
	stopped int // looks in a row
	buf     [128]byte
}

// openParent opens the state of a process. That of its first thread alone is cheaper than that of the process, for which the
// kernel adds up all threads, and a stop stops all.
func openParent(pid int) (*parent, error) {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return nil, err
	}
	if self != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("/proc numbers processes otherwise: this is %s there and %d here", self, os.Getpid())
	}
	path := fmt.Sprintf("/proc/%d/task/%d/stat", pid, pid)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &parent{stat: fd}, nil
}

// look reports whether the parent was seen stopped often enough. It fails when the parent has gone.
func (p *parent) look() (still bool, err error) {
	n, err := rawRead(unix.SYS_PREAD64, p.stat, p.buf[:])
	if err != nil {
		return false, err
	}
	if isStopped(p.buf[:n]) {
		p.stopped++
	} else {
		p.stopped = 0
	}
	return p.stopped >= parentLooks, nil
}

// rawRead is for reads that never wait. The runtime is not told of them: it would wake its monitor, which sleeps while the
// process is idle, and that costs more than the look.
func rawRead(trap uintptr, fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0) // at offset 0
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// isStopped reads the head of a stat file: "pid (name) state …". A process that is traced (t) is being looked at by somebody
// who will let it go on.
func isStopped(stat []byte) bool {
	i := bytes.LastIndexByte(stat, ')') // the name may hold anything
	return i >= 0 && len(stat) > i+2 && stat[i+2] == 'T'
}

// watchParent calls end when the parent, whose number is host, stands still or has gone. Where there is nobody to look at it
// returns: a parent beyond the own pid namespace has the number 0, and 1 is nobody's supervisor.
func watchParent(host int, end func()) error {
	if host <= 1 {
		return nil
	}
	p, err := openParent(host)
	if err != nil {
		return err
	}
	clock, err := newClock(parentEvery)
	if err != nil {
		_ = unix.Close(p.stat)
		return err
	}
	go func() {
		defer func() { _ = clock.Close(); _ = unix.Close(p.stat) }()
		if clock.run(func(rounds uint64) (done bool) { return !p.supervises(host, rounds) }) {
			end()
		}
	}()
	return nil
}

// supervises reports whether the parent still is what it was. A look that comes late does not count: who was stopped together
// with the parent, and goes on first, must not look twice in a hurry.
func (p *parent) supervises(host int, rounds uint64) bool {
	still, _ := p.look() // one that has gone is nobody's parent any more
	if rounds > 1 {
		p.stopped, still = 0, false
	}
	return !still && os.Getppid() == host
}

// clock strikes by the network poller, which wakes one thread; a timer of the runtime wakes three, and costs an idle process
// three times as much.
type clock struct{ *os.File }

func newClock(every time.Duration) (clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return clock{}, os.NewSyscallError("timerfd_create", err)
	}
	at := unix.NsecToTimespec(int64(every))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: at, Value: at}, nil); err != nil {
		_ = unix.Close(fd)
		return clock{}, os.NewSyscallError("timerfd_settime", err)
	}
	return clock{os.NewFile(uintptr(fd), "clock")}, nil
}

// run calls fn with the number of rounds since the last call, one unless it was kept from running, until fn is done.
func (c clock) run(fn func(rounds uint64) (done bool)) bool {
	conn, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var b [8]byte
	return conn.Read(func(fd uintptr) bool {
		if _, err := rawRead(unix.SYS_READ, int(fd), b[:]); err != nil {
			return false // the round is not over
		}
		return fn(binary.NativeEndian.Uint64(b[:]))
	}) == nil
}
