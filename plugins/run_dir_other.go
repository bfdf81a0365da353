//go:build unix && !linux

package plugins

// memoryPlaces are folders in memory in which a run folder may lie.
func memoryPlaces() []string { return nil }
