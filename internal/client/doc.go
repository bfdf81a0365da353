// Package client speaks to a controller over HTTP, with one method per route of controller/api.
//
// The command line calls it; so may any Go program in this repository. Errors that the controller explains come back as
// *skalds.Error with code and fields. It never retries what changes something, and never reads configuration.
package client
