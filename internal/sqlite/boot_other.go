//go:build !linux

package sqlite

// bootID is not known here: a crash of the machine is not told from one of the program.
func bootID() string { return "" }
