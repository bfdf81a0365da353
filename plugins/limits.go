package plugins

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// limiter holds a task's limits by one mechanism. The first layer (rlimits and environment) holds always; control groups
// are to be another.
type limiter interface {
	// env is added to the process's environment.
	env(l skalds.Limits) []string
	// apply is called right after the fork, before the process had time to do much.
	apply(pid int, l skalds.Limits, nice int) error
	// enforcement says what holds which limit.
	enforcement() skalds.Enforcement
}

// processLimits is the layer that needs no privilege: environment, rlimits, niceness and the memory watchdog.
type processLimits struct{ log hclog.Logger }

var _ limiter = processLimits{}

func (processLimits) env(l skalds.Limits) []string {
	var env []string
	if l.MemoryBytes > 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatInt(goMemLimit(l.MemoryBytes), 10))
	}
	if l.CPUCores > 0 {
		env = append(env, "GOMAXPROCS="+strconv.Itoa(int(math.Ceil(l.CPUCores))))
	}
	return env
}

// refine takes the outcome of what only makes a process a better neighbour: where this system does not allow it, the
// process runs without.
func (p processLimits) refine(pid int, what string, err error) error {
	if err == nil || !errors.Is(err, os.ErrPermission) {
		return err
	}
	p.log.Debug("not allowed here", "what", what, "pid", pid, "err", err)
	return nil
}

// goMemLimit leaves a fifth to what Go's collector does not see, so that it works harder before the wall.
func goMemLimit(limit int64) int64 { return limit * 8 / 10 }

// dataBackstop is RLIMIT_DATA: far beyond the limit, since it counts reserved memory too; the watchdog comes first.
func dataBackstop(limit int64) uint64 { return uint64(limit)*4 + 1<<30 }

func (processLimits) enforcement() skalds.Enforcement {
	return skalds.Enforcement{
		Memory: skalds.Enforced{Mechanism: skalds.MechanismWatchdog, Overshoot: fmt.Sprintf("allocation rate × %.2f s", (watchdogInterval + reaction).Seconds())},
		CPU:    skalds.Enforced{Mechanism: skalds.MechanismNone, Overshoot: "not held: GOMAXPROCS is set as a hint"},
		PIDs:   skalds.Enforced{Mechanism: skalds.MechanismWatchdog, Overshoot: fmt.Sprintf("what is forked within %.2f s", (watchdogInterval + reaction).Seconds())},
	}
}
