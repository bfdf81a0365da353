package cli

import (
	"os"
	"runtime"
)

func checkKernel(out *findings) {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		out.add(healthFail, "kernel", "mount /proc: tasks are measured by it", "/proc cannot be read: %v", cause(err))
		return
	}
	out.add(healthOK, "kernel", "", "Linux %s, %s, %d CPUs", clean(string(release)), runtime.GOARCH, runtime.NumCPU())
}
