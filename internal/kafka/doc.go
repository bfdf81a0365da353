// Package kafka is the bus between controllers and hosts: topics on Apache Kafka, or on the in-process server of
// internal/embedded, which speaks the same protocol.
//
// cmd/skalds gives a ControllerBus to a controller (controller.Bus) and a HostBus to a host (host.Bus). Both connect when
// they are first used, reconnect for ever, and say once that the bus is away. DESIGN.md lists topics, keys and ids.
//
// The package keeps no consumer groups and commits no offsets; it decides nothing about tasks or nodes.
package kafka
