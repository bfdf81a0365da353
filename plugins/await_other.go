//go:build !linux

package plugins

// awaitExit leaves the waiting to os.Process.
func awaitExit(int) {}

// reap has nothing to do: only Linux hands us the orphans of our workers.
func reap(int) {}
