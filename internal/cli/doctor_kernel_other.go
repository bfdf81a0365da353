//go:build !linux

package cli

import "runtime"

func checkKernel(out *findings) {
	out.add(healthWarn, "kernel", "run hosts on Linux", "%s, %s: limits are portable ones, good for development only", runtime.GOOS, runtime.GOARCH)
}
