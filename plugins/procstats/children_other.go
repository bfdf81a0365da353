//go:build !linux

package procstats

// HasChildren is not known here.
func HasChildren(int) (has, ok bool) { return false, false }
