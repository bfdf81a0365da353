// Package plugins handles worker executables on this machine: Catalog finds them, Launcher starts one process per task
// with limits, and Instance is such a process from its start to its last word. Hosts call it. It knows nothing of
// controllers, retries or task states.
package plugins
