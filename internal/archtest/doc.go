// Package archtest knows who may import whom, as a table of rules with their reasons. Its test reads the imports of every
// package of the workspace, test files and all systems included, and fails on what a rule forbids. No program imports it.
package archtest
