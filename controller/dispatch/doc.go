// Package dispatch decides on which node a task runs, by what nodes really have left: it keeps the ledger of what tasks
// are expected to take and what they were measured to take, learns from measurements, and explains every answer.
//
// The controller calls it under a lock of its own. The package does no I/O, reads no clock, starts nothing and stores
// nothing: the same code can answer for a real cluster and for a simulated one.
package dispatch
