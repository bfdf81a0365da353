//go:build !linux

package plugins

import "syscall"

// maxRSSBytes: BSDs count in bytes.
func maxRSSBytes(ru *syscall.Rusage) int64 { return ru.Maxrss }
