package skalds

import "strings"

// Ability is one thing that a node must be able to do for a task's Isolation.
type Ability string

// The abilities.
const (
	AbilityUID             Ability = "uid"          // run a process as another user
	AbilityUserNamespace   Ability = "userns"       // give it a user namespace
	AbilityPIDNamespace    Ability = "pidns"        // give it a process namespace
	AbilityNetNamespace    Ability = "netns"        // give it a network namespace
	AbilityLandlock        Ability = "landlock"     // keep it to some paths
	AbilityNoNewPrivileges Ability = "no_new_privs" // have it gain no privileges by what it executes
)

// Abilities are all of them, in the order in which they are named.
func Abilities() []Ability {
	return []Ability{AbilityUID, AbilityUserNamespace, AbilityPIDNamespace, AbilityNetNamespace, AbilityLandlock, AbilityNoNewPrivileges}
}

// NodeAbilities says for each ability why a node does not have it; empty: it does. One that is not named, it does not have.
type NodeAbilities map[Ability]string

// Has reports whether a node has all of needs.
func (a NodeAbilities) Has(needs []Ability) bool {
	for _, n := range needs {
		if reason, said := a[n]; !said || reason != "" {
			return false
		}
	}
	return true
}

// Lacks says what of needs a node does not have, and why; empty: it has all.
func (a NodeAbilities) Lacks(needs []Ability) string {
	if a.Has(needs) {
		return ""
	}
	var lacking []string
	for _, n := range needs {
		reason, said := a[n]
		if said && reason == "" {
			continue
		}
		if !said {
			reason = "its host has not said that it can"
		}
		lacking = append(lacking, string(n)+": "+reason)
	}
	return "lacks what the task needs: " + strings.Join(lacking, "; ")
}
