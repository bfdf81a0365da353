//go:build !linux

package plugins

import "github.com/skalds-go/skalds"

func probeIsolation() skalds.NodeAbilities {
	all := skalds.NodeAbilities{}
	for _, a := range skalds.Abilities() {
		all[a] = "only Linux can"
	}
	return all
}
