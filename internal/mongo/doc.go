// Package mongo keeps what a cluster of controllers must not lose in MongoDB. It implements controller.Store; DESIGN.md says what
// lies where.
//
// cmd/skalds opens it. It never decides anything: every change is a compare-and-set that its caller has thought out.
package mongo
