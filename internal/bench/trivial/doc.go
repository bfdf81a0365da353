// Command trivial writes one byte and ends: what starting a Go program costs at least.
package main
