//go:build !linux

package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is the monotonic clock where there is no CLOCK_BOOTTIME; good enough for development.
func bootTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("read CLOCK_MONOTONIC: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
