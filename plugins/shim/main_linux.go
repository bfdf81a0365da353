package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Farewell tells the cluster that a host has gone: of which tasks nothing lives any more, and whether the host is dead or
// only silent. It may be called several times, with more tasks each time; data is what the host has left for it.
type Farewell func(data json.RawMessage, dead []Mark, silent bool) error

// argument makes a program a shim; the descriptors 3 and up belong to it.
const argument = "__shim"

// stateFD names, in the environment, the descriptor of the state that a shim hands to the file that it is exchanged for.
const stateFD = "SKALDS_SHIM_STATE"

// Asked reports whether this process was started by a host for what Main does, and not by a person.
func Asked() bool {
	return len(os.Args) >= 2 && (os.Args[1] == argument || os.Args[1] == restrictArgument)
}

// The parent-death signal of workers goes by the thread that forked them, and that thread has to live on when the program is
// exchanged: it is the one that calls exec. Only the main thread stays what it is. restrictAndExec needs it likewise.
func init() {
	if Asked() {
		runtime.LockOSThread()
	}
}

// gcPercent keeps garbage few: this process makes little of it and is to be small.
const gcPercent = 25

// exitSilent is the exit code of a shim whose host stood still.
const exitSilent = 3

// Main is the shim; call it from main, on its goroutine, when Asked says so. It returns the exit code after the host has gone
// and nothing of its workers is left. farewell may be nil. For a worker that is to be kept from something it is what restricts
// the process and then becomes the worker, see Restrict.
func Main(farewell Farewell) int {
	if os.Args[1] == argument { // what this program was given by accident is nobody's business, least of all a worker's
		keepToOurselves()
	}
	if os.Args[1] == restrictArgument {
		return restrictAndExec(os.Args[2:])
	}
	// The host decides when this process ends. A terminal and a service manager mean the host, too. The signals are taken and
	// not ignored, because that would be passed on to workers.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP)
	debug.SetGCPercent(gcPercent)
	s, err := newServer(farewell)
	if err != nil {
		fmt.Fprintln(os.Stderr, "skalds shim:", err)
		return 1
	}
	s.serve()
	if s.silence.fallen {
		return exitSilent
	}
	return 0
}

// keepToOurselves marks all open descriptors to be closed in what is executed.
func keepToOurselves() {
	const first, all = 3, ^uint(0) >> 1
	if unix.CloseRange(first, uint(all&0x7fffffff), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
}

func newServer(farewell Farewell) (*server, error) {
	s := &server{say: farewell, instances: map[uint64]*instance{}, byPID: map[int]*instance{}, hostPID: os.Getppid()}
	if v := os.Getenv(stateFD); v != "" {
		if err := s.takeOver(v); err != nil {
			return nil, fmt.Errorf("take over: %w", err)
		}
	} else {
		if len(os.Args) < 3 {
			return nil, errors.New("is started by a host, not by hand")
		}
		fd, err := strconv.Atoi(os.Args[2])
		if err != nil {
			return nil, fmt.Errorf("descriptor %q: %w", os.Args[2], err)
		}
		s.host = socket{fd}
		unix.CloseOnExec(fd)
	}
	var err error
	if s.null, err = unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become the reaper of orphans: %w", err)
	}
	return s, s.watchChildren()
}

// watchChildren makes the end of a child a byte in a pipe, so that one poll waits for everything.
func (s *server) watchChildren() error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return err
	}
	s.childEnded = p[0]
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for range ended {
			_, _ = unix.Write(p[1], []byte{0}) // a full pipe tells enough
		}
	}()
	_, err := unix.Write(p[1], []byte{0}) // who has ended before
	return err
}

// takeOver reads what the program before has left, see exchange.
func (s *server) takeOver(fd string) error {
	n, err := strconv.Atoi(fd)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(n), "state")
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	var st state
	if err := json.Unmarshal(b, &st); err != nil {
		return err
	}
	s.restore(st)
	return os.Unsetenv(stateFD)
}
