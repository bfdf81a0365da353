// Package embedded runs a bus and a Redis inside the program, on loopback, for installations on one machine: `skalds
// standalone` needs no servers, and further hosts of the machine join it through the addresses in join.json.
//
// cmd/skalds locks the data folder, starts the Servers and gives their Join to internal/kafka and internal/redis, whose
// clients do not know what they talk to. The bus keeps its messages in the data folder; what Redis holds is gone with the
// process, which is right for heartbeats.
//
// The package is not for other machines: it never listens beyond loopback.
package embedded
