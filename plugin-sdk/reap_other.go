//go:build unix && !linux

package sdk

// besideReaper runs fn: only Linux has pid namespaces, and gives a worker orphans.
func besideReaper(fn func()) { fn() }
