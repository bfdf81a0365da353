//go:build !linux

package plugins

// onMainThread makes no difference here.
func onMainThread() bool { return false }
