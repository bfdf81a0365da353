package controller

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/skalds-go/skalds"
)

// offers is what nodes offer: every plugin once, with the nodes that have it, and the set of each node. It is not safe for
// concurrent use; the slices and the workers that it hands out are replaced by later changes, never changed.
type offers struct {
	list []*plugin // by name, version and digest
	sets map[string][]*skalds.WorkerInfo
}

// plugin is a plugin and the nodes that have it, sorted. What is told of it is what the first of them says.
type plugin struct {
	info  *skalds.WorkerInfo
	nodes []string
}

func noOffers() *offers { return &offers{sets: map[string][]*skalds.WorkerInfo{}} }

// newOffers turns round what the store lists by plugin. What is the same as in known shares its memory and can be told by its address.
func newOffers(all []WorkerOnNodes, known []*plugin) *offers {
	o := noOffers()
	for i := range all {
		p := &plugin{info: &all[i].WorkerInfo, nodes: slices.Sorted(slices.Values(all[i].Nodes))}
		if at, ok := find(known, p.info); ok && sameWorker(known[at].info, p.info) {
			p.info = known[at].info
		}
		o.list = append(o.list, p)
	}
	slices.SortStableFunc(o.list, func(a, b *plugin) int { return compareBuilds(a.info, b.info) })
	for _, p := range o.list {
		for _, id := range p.nodes {
			o.sets[id] = append(o.sets[id], p.info)
		}
	}
	return o
}

func compareBuilds(a, b *skalds.WorkerInfo) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Digest, b.Digest))
}

func find(list []*plugin, w *skalds.WorkerInfo) (int, bool) {
	return slices.BinarySearchFunc(list, w, func(p *plugin, w *skalds.WorkerInfo) int { return compareBuilds(p.info, w) })
}

// sameWorker reports whether the same is told of a plugin, as far as it is stored.
func sameWorker(a, b *skalds.WorkerInfo) bool {
	if a == b || reflect.DeepEqual(a, b) {
		return true
	}
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// lastOfEach leaves the last of those that share name and version, sorted: a node has one file of each.
func lastOfEach(workers []skalds.WorkerInfo) []skalds.WorkerInfo {
	byRef := map[string]skalds.WorkerInfo{}
	for i := range workers {
		byRef[workers[i].Ref()] = workers[i]
	}
	return slices.SortedFunc(maps.Values(byRef), func(a, b skalds.WorkerInfo) int { return compareBuilds(&a, &b) })
}

// has reports whether the set of a node is this one, which is in the order of lastOfEach.
func (o *offers) has(node string, workers []skalds.WorkerInfo) bool {
	set, known := o.sets[node]
	if len(set) != len(workers) || !known && workers != nil {
		return false
	}
	for i := range set {
		if compareBuilds(set[i], &workers[i]) != 0 || !sameWorker(set[i], &workers[i]) {
			return false
		}
	}
	return true
}

// set replaces the set of a node. It names the plugins that no node offers any more.
func (o *offers) set(node string, workers []skalds.WorkerInfo) (gone []*skalds.WorkerInfo) {
	workers = lastOfEach(workers)
	was := o.sets[node]
	now := make([]*skalds.WorkerInfo, len(workers))
	for i := range workers {
		now[i] = &workers[i]
		if at, ok := find(o.list, now[i]); ok && sameWorker(o.list[at].info, now[i]) {
			now[i] = o.list[at].info
		}
	}
	o.sets[node] = now
	for _, w := range was {
		if _, still := slices.BinarySearchFunc(now, w, compareBuilds); still {
			continue
		}
		at, ok := find(o.list, w)
		if !ok {
			continue
		}
		p := o.list[at]
		if left := slices.DeleteFunc(slices.Clone(p.nodes), func(id string) bool { return id == node }); len(left) > 0 {
			o.list[at] = &plugin{o.told(left[0], p.info), left}
			continue
		}
		o.list = slices.Delete(o.list, at, at+1)
		gone = append(gone, p.info)
	}
	for _, w := range now {
		at, ok := find(o.list, w)
		if !ok {
			o.list = slices.Insert(o.list, at, &plugin{w, []string{node}})
			continue
		}
		p := o.list[at]
		nodes := p.nodes
		if i, in := slices.BinarySearch(nodes, node); !in {
			nodes = slices.Insert(slices.Clone(nodes), i, node)
		}
		o.list[at] = &plugin{o.told(nodes[0], p.info), nodes}
	}
	return gone
}

// told is what a node says of a plugin.
func (o *offers) told(node string, w *skalds.WorkerInfo) *skalds.WorkerInfo {
	if i, ok := slices.BinarySearchFunc(o.sets[node], w, compareBuilds); ok {
		return o.sets[node][i]
	}
	return w
}

// on lists what a node offers.
func (o *offers) on(node string) []skalds.WorkerInfo {
	var out []skalds.WorkerInfo
	for _, w := range o.sets[node] {
		out = append(out, *w)
	}
	return out
}

// same reports whether a node offers the very same as by another list.
func (o *offers) same(other *offers, node string) bool {
	return slices.Equal(o.sets[node], other.sets[node])
}
