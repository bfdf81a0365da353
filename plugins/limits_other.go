//go:build !linux

package plugins

import (
	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/shim"
)

const oomScore = 0

// rlimits of another process can only be set on Linux.
func rlimits(skalds.Limits) []shim.Rlimit { return nil }

func becomeSubreaper() error { return nil }

func setRlimits(int, []shim.Rlimit) error { return nil }
