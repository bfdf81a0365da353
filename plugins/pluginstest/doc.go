// Package pluginstest makes a test binary a worker: the tests of plugins and of host install themselves into a folder of
// workers, and are started from there to do as a task's attachments say. It holds what both scripts have in common; no
// program imports it.
package pluginstest
