// Package sqlite keeps a controller's tasks, records and nodes in one SQLite file, for installations on one machine.
//
// cmd/skalds opens a Store and hands it to the controller as its controller.Store; nobody else touches the file. A task is
// one JSON document beside the columns that are searched, and every change of it is a compare-and-set on its revision.
// DESIGN.md says how writes are grouped and what survives what.
//
// The package decides nothing about tasks, talks to no bus, and never reads a clock to compare it with stored times.
package sqlite
