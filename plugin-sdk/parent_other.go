//go:build unix && !linux

package sdk

// watchParent does nothing: only Linux tells the state of another process by a file.
func watchParent(int, func()) error { return nil }
