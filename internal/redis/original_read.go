package redis

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

var _ controller.OriginalStore = (*HeartbeatStore)(nil)

// originalList is the value of skalds:<id>:all-task.
type originalList struct {
	Tasks     []originalTask `json:"tasks"`
	Timestamp int64          `json:"timestamp"`
}

// OriginalNodes reads what nodes of the Python original have written about themselves, in two round trips. Our hosts write the
// same keys; they are told by their own heartbeats and left out.
func (s *HeartbeatStore) OriginalNodes(ctx context.Context) ([]skalds.OriginalNode, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	pipe := s.client.Pipeline()
	modes, ours := pipe.HGetAll(ctx, modeKey), pipe.HKeys(ctx, beatsKey)
	if err := unread(pipe.Exec(ctx)); err != nil {
		return nil, fault(s.cfg, "look for Python nodes", err)
	}
	list := modes.Val()
	for _, id := range ours.Val() {
		delete(list, id)
	}
	if len(list) == 0 {
		return nil, nil
	}
	type answers struct {
		node    skalds.OriginalNode
		left    *redis.DurationCmd
		tasks   *redis.StringCmd
		classes *redis.StringSliceCmd
	}
	pipe = s.client.Pipeline()
	asked := make([]answers, 0, len(list))
	for id, mode := range list {
		keys := nodeKeys(id)
		asked = append(asked, answers{
			skalds.OriginalNode{ID: id, Mode: skalds.NodeMode(mode)}, pipe.PTTL(ctx, keys[0]), pipe.Get(ctx, keys[1]), pipe.LRange(ctx, keys[2], 0, -1),
		})
	}
	if err := unread(pipe.Exec(ctx)); err != nil {
		return nil, fault(s.cfg, "read what Python nodes have written", err)
	}
	out := make([]skalds.OriginalNode, 0, len(asked))
	for _, a := range asked {
		n := a.node
		n.Left = max(a.left.Val(), 0) // below zero: no key, or one that does not expire
		var l originalList
		if err := json.Unmarshal([]byte(a.tasks.Val()), &l); err == nil {
			n.ListedAt = l.Timestamp
			for _, t := range l.Tasks {
				n.Tasks = append(n.Tasks, t.ID)
			}
		}
		if classes := a.classes.Val(); len(classes) > 0 {
			n.Classes = classes
		}
		out = append(out, n)
	}
	return out, nil
}

// originalsAtOnce is how many tasks are asked about in one round trip.
const originalsAtOnce = 1000

// OriginalTasks reads what workers of the Python original have written about their tasks.
func (s *HeartbeatStore) OriginalTasks(ctx context.Context, ids []string) (map[string]skalds.OriginalTask, error) {
	out := make(map[string]skalds.OriginalTask, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), originalsAtOnce)
		if err := s.originalTasks(ctx, ids[:n], out); err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	return out, nil
}

func (s *HeartbeatStore) originalTasks(ctx context.Context, ids []string, out map[string]skalds.OriginalTask) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	type answers struct {
		left             *redis.DurationCmd
		value, exception *redis.StringCmd
	}
	pipe := s.client.Pipeline()
	asked := make([]answers, len(ids))
	for i, id := range ids {
		// How long it lives is asked first: an end that comes between is then seen with the life of a heartbeat, not a
		// heartbeat with the life of an end.
		asked[i] = answers{pipe.PTTL(ctx, taskKey(id)), pipe.Get(ctx, taskKey(id)), pipe.Get(ctx, exceptionKey(id))}
	}
	if err := unread(pipe.Exec(ctx)); err != nil {
		return fault(s.cfg, "read the heartbeats of Python workers", err)
	}
	for i, a := range asked {
		t := skalds.OriginalTask{Exception: a.exception.Val()}
		if v, err := strconv.Atoi(a.value.Val()); err == nil {
			t.Found, t.Value, t.Left = true, v, max(a.left.Val(), 0)
		}
		out[ids[i]] = t
	}
	return nil
}

// ForgetOriginalTasks removes what former runs of tasks have left, so that the next run is not taken for them.
func (s *HeartbeatStore) ForgetOriginalTasks(ctx context.Context, ids ...string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, id := range ids { // one key each: those of a task may lie on two servers of a cluster
			p.Del(ctx, taskKey(id))
			p.Del(ctx, exceptionKey(id))
		}
		return nil
	})
	return fault(s.cfg, "remove what former runs of a task have left", err)
}

func exceptionKey(id string) string { return "task:" + id + ":exception" }
