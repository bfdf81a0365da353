// Package dashboard is the page for people at /dashboard: nodes, tasks and one task, live.
//
// The files are embedded; there is no build step and nothing is loaded from elsewhere. The page speaks only the public API
// of controller/api, which mounts the Handler. The package knows nothing of tasks and never talks to the controller itself.
package dashboard
