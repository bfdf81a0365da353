//go:build unix && !linux

package plugins

import "context"

// busyHost is for systems with a shim.
func busyHost(context.Context, string, string) int { return 1 }
