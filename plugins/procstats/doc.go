// Package procstats measures: the machine as a whole by gopsutil, and the process trees of instances. On Linux a Census of
// the process table finds the members of all trees by one listing per round, because asking gopsutil for the children of
// each task costs a scan of /proc every time, and a Meter reads the members of one tree; elsewhere gopsutil does the work
// behind the same functions. Package plugins is its caller, and hosts ask it for the machine. It never signals a process.
package procstats
