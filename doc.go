// Package skalds holds the words of the system: Task, Node, Heartbeat, Command, Report, Resources, Limits, Usage, Capacity,
// the states of a task and its errors.
//
// Everybody speaks these words and nobody defines a second Task. The package imports the standard library only, does no
// I/O, reads no clock and keeps no state, so that every rule in it can be tested and simulated.
//
// The package is not covered by a compatibility promise yet; worker authors import
// github.com/skalds-go/skalds/plugin-sdk, never this package.
package skalds
