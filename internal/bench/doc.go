// Command bench measures what Skalds promises in numbers, prints a table and writes bench.json.
//
// Absolute times say little on a shared machine, so what can be is a ratio to a reference that is measured in the same run,
// turn by turn. It builds what it measures into a temporary folder: the program, a worker (package worker), and the trivial
// binary whose fork, exec and wait is the reference (package trivial). docs/benchmarks.md says what each number means and
// keeps their history. A missed bound does not fail it: it is printed.
package main
