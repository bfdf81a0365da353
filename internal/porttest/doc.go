// Package porttest holds the conformance suites of the ports: what a store, a bus, a heartbeat store and a cache must do,
// whatever they are made of.
//
// The tests of the adapters call RunStore, RunBus, RunHeartbeats and RunCache; the package's own tests run the suites
// against SQLite and the embedded servers always, and against real servers where SKALDS_TEST_KAFKA (host:port,…),
// SKALDS_TEST_REDIS (host:port) and SKALDS_TEST_MONGO (a URI) name them. It is test code only: no program imports it.
package porttest
