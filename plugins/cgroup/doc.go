// Package cgroup holds tasks by control groups: memory, CPU, processes and I/O of everything that a task has started, together
// with freezing it, killing it and reading what it uses. It writes the few files of Linux control groups itself, for
// version 2, version 1 and machines that have both. A Tree is the folder of a host's groups in every hierarchy that can be
// used; a Group is one attempt of a task, in one directory per hierarchy, and is never used twice.
//
// The launcher of package plugins is its caller, and whoever forks for it. It starts no process, and it changes no group that
// is not its own, with one exception: where version 2 asks for it, Detect moves this process into a group below its own.
package cgroup
