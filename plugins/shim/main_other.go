//go:build !linux

package shim

import "encoding/json"

// Farewell tells the cluster that a host has gone; see the one for Linux.
type Farewell func(data json.RawMessage, dead []Mark, silent bool) error

// Asked reports whether this process was started to be a shim: there is none on this system.
func Asked() bool { return false }

// Main is of no use on this system.
func Main(Farewell) int { return 1 }
