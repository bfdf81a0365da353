// Package chaos runs a cluster of real processes while hosts, shims, workers, controllers and services are killed and frozen and the
// ways between them are cut, and holds what was seen of every task against what is promised (internal/history). All of it is tests:
// `make chaos`.
package chaos
