// Package mongo keeps what controllers of a cluster share in MongoDB.
//
// cmd/skalds opens a Store and hands it to the controller as its controller.Store. A task is one document of the collection
// tasks, spelled as the Python original spells it, so that programs of the original can go on reading and inserting them; every
// change of it is a compare-and-set on its revision. DESIGN.md says what stands in which collection, what is promised of it, and what
// is asked of the server.
//
// The package decides nothing about tasks, talks to no bus, and never reads a clock to compare it with stored times.
package mongo
