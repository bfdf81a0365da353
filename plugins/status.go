package plugins

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/shim"
)

// Status is how a process ended.
type Status struct {
	Code     int            // exit code; -1 when killed by a signal
	Signal   syscall.Signal // 0: none
	Kill     *KillReason    // why we killed it; nil: we did not
	EndedAt  time.Time
	CPUTime  time.Duration // user and system, with children it waited for
	OOMKills int64         // processes of its control group that the kernel killed for memory
	Refused  int64         // processes and threads that were not made because of the limit
	Peak     int64         // the most memory that counted against the limit, where the kernel held that and killed for it
	held     int64         // the most memory that its control group held, pages of files included; 0: not known
	OOM      bool          // the kernel killed something for memory while it ran, and it died by SIGKILL that was not ours
}

// KillReason is why the host killed a tree.
type KillReason struct {
	Kind    skalds.ExitKind
	Limit   string // with ExitLimit: which one, as skalds.Exit names it
	Message string
}

func statusOf(x shim.Exit) Status {
	s := Status{Code: -1, EndedAt: time.Now(), CPUTime: x.CPU}
	switch {
	case x.Lost:
	case x.Status.Signaled():
		s.Signal = x.Status.Signal()
	default:
		s.Code = x.Status.ExitStatus()
	}
	return s
}

func (s Status) String() string {
	if s.Signal != 0 {
		return fmt.Sprintf("killed by signal %d (%s)", int(s.Signal), s.Signal)
	}
	return fmt.Sprintf("exit code %d", s.Code)
}

// LaunchError says why no instance came into being. Nothing of it is left running.
type LaunchError struct {
	Plugin    string // name@version
	Kind      skalds.ExitKind
	Message   string
	Status    Status
	Limit     string // that it was over, with the kinds ExitLimit and ExitOOM
	Stderr    string // the last lines that the process wrote
	Permanent bool   // the same file will not do better next time
	Err       error
}

func (e *LaunchError) Error() string {
	s := fmt.Sprintf("launch %s: %s: %s", e.Plugin, e.Kind, e.Message)
	if e.Stderr != "" {
		s += quoteTail(e.Stderr)
	}
	return s
}

func (e *LaunchError) Unwrap() error { return e.Err }

// Exit is the error as an attempt's report.
func (e *LaunchError) Exit() skalds.Exit {
	said, stack := lastLine(e.Stderr), ""
	if text := lastWordsOfGo(e.Status.Code, e.Stderr); text != "" { // of which the last line is some line of code
		said, _, _ = strings.Cut(text, "\n")
		stack = cutStack(text)
	}
	x := skalds.Exit{Kind: e.Kind, Code: e.Status.Code, Message: e.Message + quoteTail(said), Stack: stack, Permanent: e.Permanent}
	x.Limit = e.Limit
	if e.Status.Signal != 0 {
		x.Signal = e.Status.Signal.String()
	}
	return x
}

// HostError says that this machine could not start a process for the moment: no memory, no descriptor, no space, or a file
// that was exchanged just now. The worker is not to blame.
type HostError struct {
	Plugin string // name@version
	Err    error
}

func (e *HostError) Error() string {
	return fmt.Sprintf("this node cannot start %s at the moment: %v", e.Plugin, e.Err)
}

func (e *HostError) Unwrap() error { return e.Err }
