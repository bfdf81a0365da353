// Package procstats measures: the machine as a whole by gopsutil, and the process trees of instances. On Linux trees are
// read by one pass over /proc per round for all of them, because asking gopsutil for the children of each task costs a
// scan of /proc every time; elsewhere by gopsutil behind the same functions. Package plugins is its caller, and hosts ask
// it for the machine. It never signals a process.
package procstats
