// Command trivial writes one byte and ends: what starting a Go program costs at least.
package main

import "os"

func main() { _, _ = os.Stdout.Write([]byte{'x'}) }
