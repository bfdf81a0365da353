// Package backup writes everything that a controller's store holds to one file, and puts such a file into a store, of the same kind or
// another. The file is lines of JSON: a header, one record each, and at the end counts and a digest of all before, without which it is
// not whole.
//
// cmd/skalds opens files and stores and decides what may be replaced. What is not taken along: the leader's lease and how far the bus was
// read. Both belong to a running cluster and not to what it knows.
package backup
