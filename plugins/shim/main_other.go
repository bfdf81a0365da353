//go:build !linux

package shim

import "encoding/json"

// Farewell tells the cluster that a host has gone; see the one for Linux.
type Farewell func(data json.RawMessage, dead []Mark, silent bool) error

// Asked reports whether this process was started by a host for what Main does: on this system it is not.
func Asked() bool { return false }

// Main is of no use on this system.
func Main(Farewell) int { return 1 }
