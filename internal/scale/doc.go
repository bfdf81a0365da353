// Package scale measures what a controller costs as the cluster grows: hundreds of nodes that run nothing but speak as hosts do, over
// real Kafka and Redis, and a real controller, a process of its own, that keeps its tasks in SQLite.
//
// `make scale` runs TestGrowth, which writes a table and a plot. Without SCALE_NODES the package's test is a cluster of a few nodes over
// embedded services, which shows that all of it works.
package scale
