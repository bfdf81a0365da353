// Package scaffold writes the folder of a new worker: a module of its own with main, a test, a Makefile and a README, which
// builds as it is. The command `skalds worker new` calls it. It never overwrites, never runs a tool and never uses the
// network.
package scaffold
