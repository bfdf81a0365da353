// Package testlog is the logger of tests: what a component logs appears under the test that made it, and only when that
// test fails or runs verbosely. Tests call New and hand the logger to constructors; production code never imports it.
package testlog
