// Package host runs tasks on one machine: it takes assignments from a YAML file (edge) or from controllers (node), runs
// each as a process of a plugin through package plugins, retries, explains every end, and says every second how the
// machine is. cmd/skalds starts it.
//
// It decides nothing about other machines, never touches the store of the controllers (it reports by events), and knows
// Kafka and Redis only through the ports in ports.go. DESIGN.md draws the parts and the state machine of a task.
package host
