// Package controllertest offers the ports of the controller in memory, with faults on demand, and a host that runs nothing
// but speaks like one. Tests of the controller and of its REST use it; no program does.
//
// It is no measure for the real adapters: their conformance suites are in internal/porttest.
package controllertest
