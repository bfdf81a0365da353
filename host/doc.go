// Package host runs tasks on one machine.
package host
