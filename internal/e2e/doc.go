// Package e2e tests the whole program from outside: it builds the binaries, starts them as a user would, kills them, and asks
// them by REST and by command. It holds tests and what they share; no program imports it.
package e2e
