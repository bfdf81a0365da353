//go:build !linux && !darwin

package plugins

// awaitExit leaves the waiting to os.Process: it cannot tell.
func awaitExit(int) bool { return false }

// reap has nothing to do: only Linux hands us the orphans of our workers.
func reap(int) {}
