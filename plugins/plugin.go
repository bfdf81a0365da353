package plugins

import "github.com/skalds-go/skalds"

// Plugin is a worker executable that may be started. It is never changed after it was published by a Catalog.
type Plugin struct {
	Info skalds.WorkerInfo
	Path string // absolute
}

// Problem is an executable, or what looks like one, that cannot be used, and why.
type Problem struct {
	Path   string
	Reason string // what is wrong and what to do
}
