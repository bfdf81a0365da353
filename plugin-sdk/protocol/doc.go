// Package protocol is the wire between a host and a worker process: handshake, hand-written types, and the client and
// server of both services. Protobuf stays behind it (plugin-sdk/internal/workerpb).
//
// Worker authors do not need it: package sdk builds on it. Hosts use it to talk to workers. It never starts a process and
// knows nothing of tasks in a store.
package protocol
