// Package controllertest offers the ports of the controller in memory, with faults on demand, a host that runs nothing but
// speaks like one, and a world made of both: a controller behind HTTP. Tests of the controller, of its REST and of its
// clients use it; no program does.
//
// It is no measure for the real adapters: their conformance suites are in internal/porttest.
package controllertest
