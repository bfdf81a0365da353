package plugins

import (
	"errors"
	"math"
	"os"
	"strconv"
	"syscall"

	"github.com/skalds-go/skalds"
)

// limitEnv tells a worker's runtime of its limits, so that it keeps within them by itself as far as it can.
func limitEnv(l skalds.Limits) []string {
	var env []string
	if l.MemoryBytes > 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatInt(goMemLimit(l.MemoryBytes), 10))
	}
	if l.CPUCores > 0 {
		env = append(env, "GOMAXPROCS="+strconv.Itoa(int(math.Ceil(l.CPUCores))))
	}
	return env
}

// goMemLimit leaves a fifth to what Go's collector does not see, so that it works harder before the wall.
func goMemLimit(limit int64) int64 { return limit * 8 / 10 }

// dataBackstop is RLIMIT_DATA: far beyond the limit, since it counts reserved memory too; the watchdog comes first.
func dataBackstop(limit int64) uint64 { return uint64(limit)*4 + 1<<30 }

// unusableFile reports whether an error of a fork is the file's fault.
func unusableFile(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.ENOEXEC)
}
