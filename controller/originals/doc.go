// Package originals decides what is to be made of nodes of the Python original (skalds 0.3.8), which run beside hosts of ours in
// one cluster. Such a node reads the store by itself, takes events that name tasks, answers none of them, and writes what it does
// into keys that expire. What the controller has to conclude from that, and when it has to say something again, is decided here.
//
// The controller calls it under a lock of its own and carries out what it says. The package does no I/O, reads no clock, starts
// nothing and stores nothing.
package originals
