// Package monitor decides which nodes are lost, from heartbeats on two channels, and notices when the controller itself is
// blind. The controller tells it what it heard and asks it what follows.
//
// Pure rules: no clock, no I/O, no goroutine. It never touches a task.
package monitor
