package plugins

import "syscall"

// maxRSSBytes: Linux counts in KiB.
func maxRSSBytes(ru *syscall.Rusage) int64 { return ru.Maxrss << 10 }
