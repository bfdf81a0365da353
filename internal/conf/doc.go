// Package conf reads what users configure: the settings of the program (skalds.yml, .env, environment and flags) and the
// TaskWorkers file of an edge host, which it can also write back without losing comments.
//
// cmd/skalds loads the settings and hands each component its part; host reads and writes the workers file. It is the only
// place that reads YAML. It never opens a socket, starts a goroutine, or knows what a setting is used for.
package conf
