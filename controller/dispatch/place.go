package dispatch

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// Verdict is one node's answer to a request: its score, or why it is refused.
type Verdict struct {
	NodeID  string
	Worker  string // "name@version" that would run
	Score   float64
	Refused string // empty: it could take the task
	Free    skalds.Resources
	Needs   Needs
}

// Place finds a node for a request and reserves what it needs there. Of at most Config.MaxScored nodes that could take it
// the best is chosen. It reports false where none can; Explain says why.
func (l *Ledger) Place(r *Request, now time.Time) (Verdict, bool) {
	l.Unpromise(r.TaskID)
	best, found := l.choose(r, now)
	if found {
		l.Release(r.TaskID)
		l.hold(l.nodes[best.NodeID], r.TaskID, r.ClassName, best.Needs.Resources)
	}
	return best, found
}

func (l *Ledger) choose(r *Request, now time.Time) (Verdict, bool) {
	if r.Bound != "" {
		n := l.nodes[r.Bound]
		if n == nil {
			return Verdict{}, false
		}
		v := l.judge(n, r, now, false)
		return v, v.Refused == ""
	}
	if r.Held {
		return Verdict{}, false
	}
	var best, avoided Verdict
	var found bool
	rank := len(r.Avoid) // of avoided
	list := l.byClass[r.ClassName]
	scored := 0
	for i := range list {
		n := list[(l.cursor+i)%len(list)]
		at := slices.Index(r.Avoid, n.id)
		if at >= 0 && (r.AvoidWholly || at >= rank) {
			continue
		}
		v := l.judge(n, r, now, false)
		if v.Refused != "" {
			continue
		}
		if at >= 0 {
			avoided, rank = v, at
			continue
		}
		if !found || better(&v, &best) {
			best, found = v, true
		}
		if scored++; scored >= l.cfg.MaxScored {
			l.cursor += i + 1 // the next task looks at other nodes
			break
		}
	}
	if !found {
		return avoided, rank < len(r.Avoid)
	}
	return best, true
}

func better(a, b *Verdict) bool {
	if a.Score != b.Score {
		return a.Score > b.Score
	}
	return a.NodeID < b.NodeID
}

// judge is the whole rule for one node: what must hold, then how well it suits.
// Without words a refusal is marked, not explained: placing asks many nodes.
func (l *Ledger) judge(n *node, r *Request, now time.Time, words bool) Verdict {
	v := Verdict{NodeID: n.id, Free: n.free()}
	blocked := n.blocked
	if n.bound && r.Bound == n.id {
		blocked = ""
	}
	if blocked != "" && !words {
		v.Refused = blocked
		return v
	}
	refuse := func(format string, args ...any) Verdict {
		if v.Refused = "refused"; words {
			v.Refused = fmt.Sprintf(format, args...)
		}
		return v
	}
	offered := n.offers[r.ClassName]
	o := r.Versions.pick(offered)
	if o != nil {
		v.Worker = o.ref
		v.Needs = needs(r, &o.class, l.profiles[profileKey{r.ClassName, o.ref}], now)
	} else {
		v.Needs = needs(r, nil, nil, now)
	}
	if r.Bound != "" && n.id != r.Bound {
		return refuse("is not the node that the task is bound to (%s)", r.Bound)
	}
	if blocked != "" {
		v.Refused = blocked
		return v
	}
	switch {
	case len(offered) == 0:
		return refuse("has no worker for class %s", r.ClassName)
	case o == nil:
		refs := make([]string, len(offered))
		for i := range offered {
			refs[i] = offered[i].ref
		}
		if r.Versions.text == "" {
			return refuse("has only prereleases of class %s (%s): name the version to use one", r.ClassName, strings.Join(refs, ", "))
		}
		return refuse("has class %s in %s only, version %s is asked for", r.ClassName, strings.Join(refs, ", "), r.Versions)
	}
	for _, c := range r.Constraints {
		if !c.Matches(n.labels) {
			return refuse("does not satisfy the constraint %s", c)
		}
	}
	if limit := o.class.MaxPerNode; limit > 0 {
		count := n.perClass[r.ClassName]
		if h := n.tasks[r.TaskID]; h != nil {
			count-- // itself
		}
		if count >= limit {
			return refuse("runs %d of at most %d tasks of class %s", count, limit, r.ClassName)
		}
	}
	if n.original == 0 && n.capacity == (skalds.Capacity{}) {
		return refuse("has not said yet what it has")
	}
	if n.original > 0 && r.HostOnly != "" {
		return refuse("is a Python node and cannot %s", r.HostOnly)
	}
	if !n.isolation.Has(r.Isolation) {
		if words {
			return refuse("%s", n.isolation.Lacks(r.Isolation))
		}
		return refuse("")
	}
	if n.original > 0 {
		if full := n.full(r.TaskID); full != "" {
			return refuse("%s", full)
		}
	} else if short := n.lacks(&v, l.cfg.CPUOvercommit, words); short != "" {
		return refuse("%s", short)
	}
	if r.AvoidWholly && slices.Contains(r.Avoid, n.id) {
		if said := r.Said[n.id]; said != "" {
			return refuse("failed or refused the task a moment ago: %s", said)
		}
		return refuse("failed or refused the task a moment ago")
	}
	if r.Held {
		return refuse("is not asked yet: others have refused the task again and again")
	}
	v.Score = l.score(n, &v)
	return v
}

// lacks says what a node has too little of. Memory must be free; so must CPU that somebody asked for. Other tasks share
// the CPU, within bounds.
func (n *node) lacks(v *Verdict, overcommit float64, words bool) string {
	need := &v.Needs
	noMemory := need.MemoryBytes > v.Free.MemoryBytes
	noCPU := need.FirmCPU && need.CPUCores > v.Free.CPUCores
	crowded := !need.FirmCPU && n.taken.CPUCores+need.CPUCores > n.capacity.CPUCores*overcommit
	switch {
	case !noMemory && !noCPU && !crowded:
		return ""
	case !words:
		return "too little"
	case noMemory:
		short := fmt.Sprintf("has %s of memory free, %s are needed", mebibytes(v.Free.MemoryBytes), mebibytes(need.MemoryBytes))
		if need.memory == fromRaised {
			short += ": the memory limit was raised to that after ends for memory"
		}
		return short
	case noCPU:
		return fmt.Sprintf("has %.2f cores free, %.2f are needed", max(v.Free.CPUCores, 0), need.CPUCores)
	}
	return fmt.Sprintf("has its CPU promised %.1f times over", n.taken.CPUCores/n.capacity.CPUCores)
}

// score says how well a node suits: above zero where its CPU suffices, the more the fuller it gets (fit) or the emptier it
// stays (spread); below zero where CPU must be shared, the lower the more.
func (l *Ledger) score(n *node, v *Verdict) float64 {
	if n.original > 0 {
		return lastChoice - float64(len(n.tasks))
	}
	cpu := (v.Free.CPUCores - v.Needs.CPUCores) / n.capacity.CPUCores
	memory := float64(v.Free.MemoryBytes-v.Needs.MemoryBytes) / float64(n.capacity.MemoryBytes)
	if cpu < 0 {
		return cpu
	}
	emptiness := (math.Exp2(3.3219*min(cpu, 1)) + math.Exp2(3.3219*min(memory, 1)) - 2) / 18 // 10^x, from 0 to 1
	if l.cfg.Strategy == Spread {
		return emptiness
	}
	return 1 - emptiness
}

// lastChoice is below what any node of ours scores.
const lastChoice = -1000

// full says that a node of the original has all the tasks that it gets.
func (n *node) full(taskID string) string {
	count := len(n.tasks)
	if n.tasks[taskID] != nil {
		count-- // itself
	}
	if count < n.original {
		return ""
	}
	return fmt.Sprintf("is a Python node and runs %d of at most %d tasks", count, n.original)
}

// Explain asks every node, those included that Place would not have looked at, and marks nothing.
func (l *Ledger) Explain(r *Request, now time.Time) []Verdict {
	out := make([]Verdict, 0, len(l.nodes))
	for _, n := range l.nodes {
		out = append(out, l.judge(n, r, now, true))
	}
	slices.SortFunc(out, func(a, b Verdict) int {
		switch {
		case (a.Refused == "") != (b.Refused == ""):
			if a.Refused == "" {
				return -1
			}
			return 1
		case better(&a, &b):
			return -1
		case better(&b, &a):
			return 1
		}
		return 0
	})
	return out
}

// WhyNot says in one line why no node would take a task; empty: one would. It is as quick as the first that would, where Explain asks
// all of them.
func (l *Ledger) WhyNot(r *Request, now time.Time) string {
	for _, n := range l.nodes {
		if v := l.judge(n, r, now, true); v.Refused == "" {
			return ""
		}
	}
	return Why(l.Explain(r, now))
}

// NeedsOf is what a task would be counted for on the node that suits it best, or anywhere.
func (l *Ledger) NeedsOf(r *Request, now time.Time) Needs {
	if v, ok := l.choose(r, now); ok {
		return v.Needs
	}
	if list := l.byClass[r.ClassName]; len(list) > 0 {
		return l.judge(list[0], r, now, true).Needs
	}
	return needs(r, nil, nil, now)
}

// Why is the refusal of all nodes in one line.
func Why(verdicts []Verdict) string {
	if len(verdicts) == 0 {
		return "no node has joined yet"
	}
	if verdicts[0].Refused == "" {
		return ""
	}
	counts := map[string]int{}
	first := map[string]string{}
	var order []string
	for _, v := range verdicts {
		if counts[v.Refused]++; counts[v.Refused] == 1 {
			order = append(order, v.Refused)
			first[v.Refused] = v.NodeID
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return counts[b] - counts[a] })
	var parts []string
	for i, why := range order {
		if i == 3 {
			parts = append(parts, fmt.Sprintf("and %d other reasons", len(order)-i))
			break
		}
		if counts[why] == 1 {
			parts = append(parts, fmt.Sprintf("node %s %s", first[why], why))
		} else {
			parts = append(parts, fmt.Sprintf("%d nodes: %s", counts[why], why))
		}
	}
	return "no node can take it: " + strings.Join(parts, "; ")
}

func mebibytes(b int64) string { return fmt.Sprintf("%d MiB", max(b, 0)>>20) }
