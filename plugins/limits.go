package plugins

import (
	"errors"
	"math"
	"os"
	"strconv"
	"syscall"

	"github.com/skalds-go/skalds"
)

// limitEnv tells a worker's runtime of its limits, so that it keeps within them by itself as far as it can. One that is ready
// before its limits are known hears of them when its task is run.
func limitEnv(l skalds.Limits) []string {
	var env []string
	if n := GoMemLimit(l); n > 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatInt(n, 10))
	}
	if n := GoMaxProcs(l); n > 0 {
		env = append(env, "GOMAXPROCS="+strconv.Itoa(n))
	}
	return env
}

// GoMemLimit is the limit that Go's collector is given, in bytes; 0: none. It leaves a fifth to what the collector does not
// see, so that it works harder before the wall.
func GoMemLimit(l skalds.Limits) int64 { return max(0, l.MemoryBytes) * 8 / 10 }

// GoMaxProcs is how many processors Go's scheduler is given; 0: all.
func GoMaxProcs(l skalds.Limits) int { return int(math.Ceil(max(0, l.CPUCores))) }

// dataBackstop is RLIMIT_DATA: far beyond the limit, since it counts reserved memory too; the watchdog comes first.
func dataBackstop(limit int64) uint64 { return uint64(limit)*4 + 1<<30 }

// unusableFile reports whether an error of a fork is the file's fault.
func unusableFile(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOEXEC)
}
