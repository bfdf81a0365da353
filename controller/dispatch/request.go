package dispatch

import (
	"fmt"
	"strings"

	"github.com/skalds-go/skalds"
)

// Request is what a task asks of a node.
type Request struct {
	TaskID      string
	ClassName   string
	Versions    Versions
	Constraints []skalds.Constraint
	Resources   skalds.Resources // requested; zero fields: not said
	Limits      skalds.Limits
	Isolation   []skalds.Ability // that a node must have for it
	Raised      int64            // memory limit after ends for memory; 0: not raised
	Bound       string           // only this node will do; empty: any
	Avoid       []string         // taken only where no other node will do, the first of them before the last
	AvoidWholly bool             // those are not taken at all for now
	Held        bool             // no node is, for now
	// HostOnly is what the task asks for that nodes of the Python original cannot do; empty: nothing.
	HostOnly string
	Promised string // room was kept for it on this node: it waits behind nobody
	// Said is why those to avoid refused the task, by node. It is there for Explain, and placing does not ask for it.
	Said map[string]string
}

// NewRequest reads it out of a task. What cannot be parsed was refused when the task was created.
func NewRequest(t *skalds.Task) Request {
	r := Request{TaskID: t.ID, ClassName: t.ClassName, Resources: t.Resources, Limits: t.Limits, Raised: t.MemoryLimit, Isolation: t.Isolation.Needs()}
	r.avoid(t)
	r.HostOnly = hostOnly(t)
	r.Versions, _ = ParseVersions(t.Version)
	for _, s := range t.Constraints {
		if c, err := skalds.ParseConstraint(s); err == nil {
			r.Constraints = append(r.Constraints, c)
		}
	}
	return r
}

// avoid puts the node that gave the task back last at the end.
func (r *Request) avoid(t *skalds.Task) {
	for _, n := range t.Refusals {
		if n.Why != "" {
			if r.Said == nil {
				r.Said = make(map[string]string, len(t.Refusals))
			}
			r.Said[n.Node] = n.Why
		}
		if n.Node != t.AvoidNode {
			r.Avoid = append(r.Avoid, n.Node)
		}
	}
	if t.AvoidNode != "" {
		r.Avoid = append(r.Avoid, t.AvoidNode)
	}
}

// Shape is equal for requests that every node answers alike.
func (r *Request) Shape() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\x00%s\x00%v\x00%v\x00%d\x00%v\x00%s\x00%q\x00%v\x00%v\x00%s", r.ClassName, r.Versions.text, r.Resources, r.Limits, r.Raised, r.Isolation, r.Bound, r.Avoid, r.AvoidWholly, r.Held, r.HostOnly)
	for _, c := range r.Constraints {
		b.WriteString("\x00" + c.String())
	}
	if r.Promised != "" {
		b.WriteString("\x00\x00" + r.Promised)
	}
	return b.String()
}

// hostOnly is what a task asks for that only our hosts do, in words that follow "cannot".
func hostOnly(t *skalds.Task) string {
	switch {
	case t.Survive:
		return "keep a task while it is restarted (survive)"
	case t.Limits != (skalds.Limits{}) || t.MemoryLimit > 0:
		return "hold a task to limits"
	case !t.Isolation.IsZero():
		return "isolate a task"
	case t.Resources != (skalds.Resources{}):
		return "set resources aside for a task, because it does not say what it has"
	case t.Timeouts.Run > 0:
		return "bound how long a task runs (timeouts.run)"
	case t.Timeouts.Stall > 0:
		return "watch the progress of a task (timeouts.stall)"
	case t.OnDisconnect == skalds.OnDisconnectKeep:
		return "be trusted to go on alone (onDisconnect: keep)"
	case len(t.Stages) > 0:
		return "go on where a former run has stopped (stages)"
	}
	return ""
}
