// Command worker is what the tests of chaos run: it writes into the history when it began, that it still runs, and that it has done
// its work.
package main
