// Package controller decides: it accepts tasks, hands them to nodes by what those really have left, brings what hosts report
// into the store, and watches over nodes. Tasks, nodes, events, logs and health are offered as services, which
// controller/api puts behind REST.
//
// cmd/skalds makes a Controller of a store, a bus and a heartbeat store, and calls Run. Decisions are pure functions
// (lifecycle.go, apply_report.go, hello.go, edge.go, and the packages dispatch and monitor): a task in, a task out. What
// follows from a stored change is read from the difference of the two versions (effects.go). DESIGN.md tells the story.
//
// The controller never runs a task, never talks to a worker, and imports no driver of any service.
package controller
