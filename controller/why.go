package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// Why says why a task is where it is, or why it is nowhere: the dispatcher's own rule, asked of every node.
func (s *TaskService) Why(ctx context.Context, id string) (Explanation, error) {
	t, err := s.store.Task(ctx, id)
	if err != nil {
		return Explanation{}, notFound(err, id)
	}
	now := s.clock.Now()
	r := requestOf(t, s.cluster.boundTo(t), now.UnixMilli())
	needs, verdicts := s.cluster.explain(&r, now)
	e := Explanation{
		TaskID: t.ID, State: t.LifecycleStatus, Executor: t.Executor, Needs: needs.Resources, NeedsFrom: needs.From(),
		Candidates: make([]Candidate, 0, len(verdicts)),
	}
	for _, v := range verdicts {
		e.Candidates = append(e.Candidates, Candidate{
			NodeID: v.NodeID, Worker: v.Worker, Score: v.Score, Refused: v.Refused, Free: shown(v.Free), Chosen: t.Executor != "" && v.NodeID == t.Executor,
		})
	}
	e.Summary = summaryOf(t, &r, verdicts)
	if t.LifecycleStatus == skalds.Assigning {
		e.Summary += s.notBegun(t, now)
	}
	return e, nil
}

// notBegun says for how long a node has not begun with a task that was handed to it; empty where that is nothing special.
func (s *TaskService) notBegun(t *skalds.Task, now time.Time) string {
	waited := now.Sub(time.UnixMilli(t.UpdateDateTime)).Round(time.Second)
	switch {
	case waited < s.cfg.Resend:
		return ""
	case t.AckedRevision >= t.DesiredRevision: // of its own file
		return fmt.Sprintf("; the node has not reported anything about it for %s", waited)
	case s.unanswered.isReceived(t.ID):
		return fmt.Sprintf("; the node has had the command for %s and has not begun yet", waited)
	}
	return fmt.Sprintf("; the node has not answered the command for %s", waited)
}

// shown is free capacity for people: a node that holds more than it has, or whose capacity is not known now, has none.
func shown(free skalds.Resources) skalds.Resources {
	return skalds.Resources{CPUCores: max(free.CPUCores, 0), MemoryBytes: max(free.MemoryBytes, 0)}
}

func summaryOf(t *skalds.Task, r *dispatch.Request, verdicts []dispatch.Verdict) string {
	switch {
	case t.Quarantined != "":
		return "held in quarantine: " + t.Quarantined
	case t.LifecycleStatus.Final():
		s := fmt.Sprintf("the task has %s", ended(t))
		if t.Executor != "" {
			s += " on node " + t.Executor
		}
		if t.Exception != "" {
			s += ": " + t.Exception
		}
		return s
	case heldBack(t):
		return "paused before it had a node: resume it to have it placed"
	case t.Executor != "":
		s := fmt.Sprintf("%s on node %s", t.LifecycleStatus, t.Executor)
		if t.Mode == skalds.ModeActive {
			s += ", whose workers file names it"
		}
		if t.Phase == skalds.PhaseBackoff {
			s += "; waiting for its next attempt after: " + t.Exception
		}
		return s
	}
	if why := dispatch.Why(verdicts); why != "" {
		if r.Bound != "" && t.Mode != skalds.ModeActive {
			why += fmt.Sprintf(" (bound to node %s, where its former process may still be)", r.Bound)
		}
		return "waiting: " + why
	}
	return "waiting for its turn: a node has room"
}
