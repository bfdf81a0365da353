// Package history holds what was seen of a cluster's tasks, from outside and by the tasks themselves, against what Skalds promises:
// no accepted task is lost, none runs twice at once, none runs again after its end, nothing is left running. It is for tests only.
//
// What is seen is never all: events of a controller that was killed are missing, a process that was killed has written no last line.
// So every rule speaks of what must not be seen, whatever else was missed. All times are of one machine's clock.
package history
