// Package cli holds the commands that speak to a controller: task, node, worker, version and doctor.
//
// cmd/skalds puts them under its root beside those that run something. They speak through internal/client alone, read
// nothing but flags, the environment that they are given and the files that flags name, and never end the process: they
// return errors, which PrintError shows and ExitCode turns into an exit code.
package cli
