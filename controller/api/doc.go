// Package api serves the controller over HTTP: REST under /api with the paths and JSON names of the Python original, event
// streams, an OpenAPI document, and the probes /livez and /readyz.
//
// cmd/skalds builds it with New and gives it to an http.Server; programs use it through internal/client, people through
// controller/dashboard, hosts through one internal route to which they post streams. It decides nothing: every rule about
// tasks lies behind TaskService, and the package never touches the store or the bus. It never answers with a password: what
// mask.go knows as one leaves as "***".
package api
