package plugins

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds"
)

// oomScore makes the kernel prefer workers to the host when memory runs out (range −1000 to 1000).
const oomScore = 500

// noFile is RLIMIT_NOFILE of a worker.
const noFile = 65536

func (p processLimits) apply(pid int, l skalds.Limits, nice int) error {
	set := func(what string, resource int, v uint64) error {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, resource, nil, &old); err != nil {
			return fmt.Errorf("read %s: %w", what, err)
		}
		v = min(v, old.Max)
		if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: v, Max: v}, nil); err != nil {
			return fmt.Errorf("set %s: %w", what, err)
		}
		return nil
	}
	errs := []error{set("RLIMIT_CORE", unix.RLIMIT_CORE, 0), set("RLIMIT_NOFILE", unix.RLIMIT_NOFILE, noFile)}
	if l.MemoryBytes > 0 {
		errs = append(errs, set("RLIMIT_DATA", unix.RLIMIT_DATA, dataBackstop(l.MemoryBytes)))
	}
	errs = append(errs, p.refine(pid, "oom_score_adj", raiseOOMScore(pid)))
	if nice != 0 {
		errs = append(errs, p.refine(pid, "niceness", beNicer(pid, nice, 20)))
	}
	if err := errors.Join(errs...); err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil // a process that has gone already tells its story by its exit
}

// raiseOOMScore raises the score of a process to oomScore, unless it has inherited a higher one, which must not be lowered.
func raiseOOMScore(pid int) error {
	if has, err := readOOMScore(pid); err != nil || has >= oomScore {
		return err
	}
	return os.WriteFile(oomScoreFile(pid), []byte(strconv.Itoa(oomScore)), 0)
}

func readOOMScore(pid int) (int, error) {
	b, err := os.ReadFile(oomScoreFile(pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

func oomScoreFile(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/oom_score_adj" }

// procAttr puts the process into a group of its own and has the kernel end it when our forking thread ends. Not by SIGKILL:
// a worker of our SDK takes its whole group along, for which it must hear of it.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// becomeSubreaper makes orphans of our workers our children, so that they can be found and reaped.
func becomeSubreaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }
