package controller

import (
	"context"
	"slices"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// DrainForecast is how far a drain is, and what would become of the tasks that are still there: of all of them, where a node is not
// draining.
type DrainForecast struct {
	Left   int // tasks that are still there and are to leave
	Moving int // of those: told to leave
	Stay   int // of its own workers file
	Room   int // of those left that are not moving yet: how many would find room elsewhere now, all together
	NoRoom []NoRoom
}

// NoRoom is a task that no other node could take.
type NoRoom struct {
	TaskID    string
	ClassName string
	Why       string
}

// DrainForecast asks which tasks of a node would find room elsewhere now. It reserves nothing.
func (s *NodeService) DrainForecast(ctx context.Context, id string) (NodeView, DrainForecast, error) {
	if !s.tasks.leads() {
		s.tasks.picture.noOlder(ctx, followersLook)
	}
	v, tasks, err := s.withTasks(ctx, id)
	if err != nil {
		return NodeView{}, DrainForecast{}, err
	}
	out, rest := drainCounts(tasks)
	now := s.tasks.clock.Now()
	var asked []dispatch.Request
	for _, t := range rest {
		if heldBackAfter(t) {
			out.Room++ // it needs none
			continue
		}
		asked = append(asked, requestOf(t, "", now.UnixMilli()))
	}
	for _, p := range s.cluster.forecast(id, asked, now) {
		if p.why == "" {
			out.Room++
		} else {
			out.NoRoom = append(out.NoRoom, NoRoom{p.request.TaskID, p.request.ClassName, p.why})
		}
	}
	return v, out, nil
}

// drainCounts counts them, and lists those that are to leave and were not told yet, the most urgent first. Pure.
func drainCounts(tasks []*skalds.Task) (out DrainForecast, rest []*skalds.Task) {
	for _, t := range tasks {
		switch {
		case !t.LifecycleStatus.OnNode() || t.Executor == "":
		case t.Mode == skalds.ModeActive:
			out.Stay++
		case t.Desired == skalds.DesiredGone:
			out.Left, out.Moving = out.Left+1, out.Moving+1
		default:
			out.Left++
			rest = append(rest, t)
		}
	}
	slices.SortStableFunc(rest, func(a, b *skalds.Task) int { return b.Priority - a.Priority })
	return out, rest
}

// heldBackAfter reports whether a task that is taken off its node waits for somebody to resume it, and needs no room.
func heldBackAfter(t *skalds.Task) bool {
	return t.Desired == skalds.DesiredPaused || t.LifecycleStatus == skalds.Paused && t.Desired != skalds.DesiredRunning
}
