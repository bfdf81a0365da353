package controller

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/skalds-go/skalds"
)

// TestOffersFollowChanges: what is known after each change of one node is what a reading of all sets would give.
func TestOffersFollowChanges(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	o := noOffers()
	sets := map[string][]skalds.WorkerInfo{}
	for range 400 {
		node := fmt.Sprint("n", dice.IntN(6))
		var set []skalds.WorkerInfo
		for i := range 3 {
			if dice.IntN(2) == 0 {
				set = append(set, skalds.WorkerInfo{
					Name: fmt.Sprint("w", i), Version: fmt.Sprintf("1.%d.0", dice.IntN(2)), Digest: fmt.Sprint("d", dice.IntN(2)), Protocol: dice.IntN(2),
				})
			}
		}
		set = lastOfEach(set)
		if o.has(node, set) != reflect.DeepEqual(set, sets[node]) {
			t.Fatalf("%s is taken for having %v: %v; it has %v", node, set, o.has(node, set), sets[node])
		}
		before := builds(o)
		gone := o.set(node, set)
		sets[node] = set
		want := newOffers(stored(sets), nil)
		if got := shownOffers(o); got != shownOffers(want) {
			t.Fatalf("known:\n%s\nread:\n%s", got, shownOffers(want))
		}
		for _, b := range builds(o) {
			before = slices.DeleteFunc(before, func(x string) bool { return x == b })
		}
		var told []string
		for _, w := range gone {
			told = append(told, w.Ref()+w.Digest)
		}
		if fmt.Sprint(told) != fmt.Sprint(before) {
			t.Fatalf("told to be gone: %v, want %v", told, before)
		}
		for id := range sets {
			if list := o.on(id); !o.has(id, list) || len(list) != len(sets[id]) {
				t.Fatalf("%s offers %v, want %v", id, list, sets[id])
			}
		}
	}
}

func builds(o *offers) (out []string) {
	for _, p := range o.list {
		out = append(out, p.info.Ref()+p.info.Digest)
	}
	return out
}

func shownOffers(o *offers) (out string) {
	for _, p := range o.list {
		out += fmt.Sprintln(*p.info, p.nodes)
	}
	return out
}

// stored is how a store lists sets: each plugin as the first node has it.
func stored(sets map[string][]skalds.WorkerInfo) (all []WorkerOnNodes) {
	for i := range 6 {
		node := fmt.Sprint("n", i)
		for _, w := range sets[node] {
			at := slices.IndexFunc(all, func(x WorkerOnNodes) bool { return compareBuilds(&x.WorkerInfo, &w) == 0 })
			if at < 0 {
				at = len(all)
				all = append(all, WorkerOnNodes{WorkerInfo: w})
			}
			all[at].Nodes = append(all[at].Nodes, node)
		}
	}
	return all
}
