package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) checkController(ctx context.Context, cl *client.Client, out *findings) {
	v, err := cl.Version(ctx)
	switch {
	case err != nil:
		out.add(healthFail, "controller", "", "%s: %v", cl.Server(), err)
	case c.Version != "" && v.Version != c.Version:
		out.add(healthWarn, "controller", "use the program of the same version", "%s answers with version %s, this program is %s", cl.Server(), v.Version, c.Version)
	default:
		out.add(healthOK, "controller", "", "%s answers, version %s", cl.Server(), v.Version)
	}
}

func checkServices(out *findings, h api.SystemHealth) {
	if l := h.Leader; l != nil { // else the line on the service says it
		at := ""
		if l.URL != "" {
			at = " at " + l.URL
		}
		out.add(healthOK, "leader", "", "controller %s%s", l.ID, at)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Services)) {
		if fault := h.Services[name]; fault != "healthy" {
			out.add(healthFail, "service "+name, "see the log of the controller", "%s", fault)
			continue
		}
		out.add(healthOK, "service "+name, "", "answers")
	}
}

func (c *commands) checkNodes(ctx context.Context, cl *client.Client, out *findings) error {
	l, err := cl.Nodes(ctx, "", "")
	if err != nil {
		return err
	}
	var online, ready int
	for _, n := range l.Items {
		name := "node " + n.ID
		switch {
		case n.Status != "online":
			seen := "was never seen since the controller started"
			if at := seenAt(n); at > 0 {
				seen = "was seen " + c.ageText(at) + " ago"
			}
			out.add(healthWarn, name, "start its host again, or look at its log", "is offline and %s", seen)
			continue
		case !n.Greeted:
			out.add(healthWarn, name, "look at the log of its host: it must reach the bus", "is online, but its hello has not been answered: it gets no task")
		case n.Draining:
			out.add(healthWarn, name, fmt.Sprintf("`skalds node undrain %s` ends it", n.ID), "is draining")
		case n.Cordoned:
			out.add(healthWarn, name, fmt.Sprintf("`skalds node uncordon %s` ends it", n.ID), "gets no new task")
		case n.Type == skalds.NodeModeNode:
			ready++
		}
		online++
		if e := n.Enforcement; e != nil {
			checkLimits(out, name, *e)
		}
		for _, p := range n.Problems {
			out.add(healthWarn, name, "", "%s: %s", p.Path, p.Reason)
		}
	}
	switch {
	case online == 0:
		out.add(healthFail, "nodes", "start one with `skalds standalone` or `skalds host`", "none of %d online", len(l.Items))
	case ready == 0:
		out.add(healthWarn, "nodes", "start one with `skalds host`, or see above what keeps tasks from them", "%d of %d online, none ready for new tasks", online, len(l.Items))
	default:
		out.add(healthOK, "nodes", "", "%d of %d online, %d ready for new tasks", online, len(l.Items), ready)
	}
	return nil
}

// checkLimits says by what a node holds each limit, and warns of those that it does not hold.
func checkLimits(out *findings, node string, e skalds.Enforcement) {
	for _, l := range limitsHeld(e) {
		if l.by == skalds.MechanismNone {
			out.add(healthWarn, node, l.remedy, "%s limits are %s", l.name, l.text)
			continue
		}
		out.add(healthOK, node, "", "%s limits are %s", l.name, l.text)
	}
}

func checkWorkers(ctx context.Context, cl *client.Client, out *findings) error {
	l, err := cl.Workers(ctx)
	if err != nil {
		return err
	}
	classes := map[string]bool{}
	for i := range l.Items {
		w := &l.Items[i]
		for _, class := range w.Classes {
			classes[class.ClassName] = true
		}
	}
	if len(l.Items) == 0 {
		out.add(healthWarn, "workers", "put executables into the plugins folder of a host, or make one with `skalds worker new DIR`", "no node offers a worker")
		return nil
	}
	out.add(healthOK, "workers", "", "%s, %s", plural(len(l.Items), "worker"), plural(len(classes), "class"))
	return nil
}

// waitingShown bounds the tasks that are read to say why they wait.
const waitingShown = 500

func (c *commands) checkTasks(ctx context.Context, cl *client.Client, out *findings, busAnswers bool) error {
	l, err := readTasks(ctx, cl, client.ListTasks{States: []skalds.State{skalds.Created}}, waitingShown)
	if err != nil {
		return err
	}
	first, count := map[string]string{}, map[string]int{} // by reason
	for _, t := range l.Items {
		reason := t.Waiting
		if t.Quarantined != "" {
			out.add(healthWarn, "task "+t.ID, fmt.Sprintf("`skalds task retry %s` releases it", t.ID), "is in quarantine: %s", t.Quarantined)
			continue
		}
		if reason == "" {
			continue // its turn comes
		}
		count[reason]++
		first[reason] = t.ID
	}
	for _, reason := range slices.Sorted(maps.Keys(count)) {
		verb := "wait"
		if count[reason] == 1 {
			verb = "waits"
		}
		out.add(healthWarn, "tasks", fmt.Sprintf("`skalds task why %s` tells more", first[reason]), "%s %s: %s", plural(count[reason], "task"), verb, reason)
	}
	stuck := false
	if busAnswers { // else nobody has heard of them, and the line on the bus says what to do
		stuck, err = c.checkAssigning(ctx, cl, out)
	}
	if err == nil && len(count) == 0 && !stuck {
		out.add(healthOK, "tasks", "", "none waits for a node that does not come")
	}
	return err
}

// assigningPatience is how long a node may take to begin with a task: a start may take ten seconds, and others come first.
const assigningPatience = 30 * time.Second

// checkAssigning looks for tasks that were handed to nodes and are not begun with.
func (c *commands) checkAssigning(ctx context.Context, cl *client.Client, out *findings) (stuck bool, err error) {
	l, err := readTasks(ctx, cl, client.ListTasks{States: []skalds.State{skalds.Assigning}}, waitingShown)
	if err != nil {
		return false, err
	}
	first, count := map[string]string{}, map[string]int{} // by node
	for _, t := range l.Items {
		if t.LifecycleStatus != skalds.Assigning || t.Executor == nil || c.Now().Sub(time.UnixMilli(t.UpdateDateTime)) < assigningPatience {
			continue
		}
		count[*t.Executor]++
		first[*t.Executor] = t.ID
	}
	for _, node := range slices.Sorted(maps.Keys(count)) {
		out.add(healthWarn, "node "+node, fmt.Sprintf("look at the log of its host; `skalds task why %s` tells more", first[node]),
			"has not begun with %s within %s", plural(count[node], "task"), assigningPatience)
	}
	return len(count) > 0, nil
}
