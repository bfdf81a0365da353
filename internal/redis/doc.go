// Package redis holds what lives for seconds: the latest heartbeat of every node, the keys that the Python original reads
// and writes, and the cache that workers share. It speaks to Redis 7.4, Valkey 9 or newer, or to the in-process server of
// internal/embedded, by commands that all of them have.
//
// cmd/skalds gives a HeartbeatStore to controllers (controller.HeartbeatStore) and hosts (host.HeartbeatStore), and a Cache
// to hosts (host.Cache). They connect when they are first used. DESIGN.md lists the keys.
//
// The package never decides that a node is lost, lists no keys, and relies on no keyspace events.
package redis
