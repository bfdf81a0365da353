package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
)

// Keys of the Python original, which its nodes, controllers and scripts read.
const (
	activityKey = "skalds:hash"      // node id → last activity, ms since epoch
	modeKey     = "skalds:mode:hash" // node id → mode

	originalBeatTTL = 8 * time.Second
	originalEndTTL  = time.Hour
	// A heartbeat is any number below this; above are the ends.
	originalBeats = 200
)

func nodeKeys(id string) []string {
	return []string{"skalds:" + id + ":heartbeat", "skalds:" + id + ":all-task", "skalds:" + id + ":allow-task-class-name"}
}

// originalTask is one entry of skalds:<id>:all-task.
type originalTask struct {
	ID        string `json:"id"`
	ClassName string `json:"class_name"`
}

// originalKeys queues what the original's node would write, and returns the commands.
func originalKeys(ctx context.Context, pipe redis.Pipeliner, h *skalds.Heartbeat, ttl time.Duration, expire bool) []redis.Cmder {
	var queued []redis.Cmder
	add := func(c redis.Cmder) { queued = append(queued, c) }
	add(pipe.HSet(ctx, activityKey, h.NodeID, h.At))
	add(pipe.HSet(ctx, modeKey, h.NodeID, string(h.Mode)))
	if expire {
		add(pipe.HExpire(ctx, activityKey, wholeSeconds(ttl), h.NodeID))
		add(pipe.HExpire(ctx, modeKey, wholeSeconds(ttl), h.NodeID))
	}
	keys := nodeKeys(h.NodeID)
	beat := h.Seq % originalBeats
	add(pipe.Set(ctx, keys[0], beat, originalBeatTTL))
	tasks := []originalTask{}
	for i := range h.Instances {
		in := &h.Instances[i]
		tasks = append(tasks, originalTask{in.TaskID, in.ClassName})
		if !in.State.Final() {
			add(pipe.Set(ctx, taskKey(in.TaskID), beat, originalBeatTTL))
		}
	}
	all, err := json.Marshal(map[string]any{"tasks": tasks, "existed_task_ids": []string{}, "timestamp": h.At})
	if err == nil { // strings and numbers always are
		add(pipe.Set(ctx, keys[1], all, ttl))
	}
	// The list is replaced in one step, so that nobody reads it empty or half.
	list := keys[2]
	next := besides(list)
	add(pipe.Del(ctx, next))
	if len(h.Classes) > 0 {
		add(pipe.RPush(ctx, next, h.Classes))
		add(pipe.Expire(ctx, next, wholeSeconds(ttl)))
		if next != list {
			add(pipe.Rename(ctx, next, list))
		}
	} else if next != list {
		add(pipe.Del(ctx, list))
	}
	return queued
}

// besides is a key for the next value of another one, which lies on the same server of a cluster: that is chosen by what stands in
// braces. A key that has braces of its own is replaced in steps.
func besides(key string) string {
	if strings.ContainsAny(key, "{}") {
		return key
	}
	return "skalds:next:{" + key + "}"
}

func taskKey(id string) string { return "task:" + id + ":heartbeat" }

// TaskEnded writes the original's last value of a task and what ended it.
func (s *HeartbeatStore) TaskEnded(ctx context.Context, taskID string, state skalds.State, exception string) error {
	value, ok := map[skalds.State]int{skalds.Finished: 200, skalds.Failed: -1, skalds.Cancelled: -2}[state]
	if !ok {
		return fmt.Errorf("write the end of task %s: %s is no end", taskID, state)
	}
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, taskKey(taskID), value, originalEndTTL)
		p.Set(ctx, exceptionKey(taskID), exception, originalEndTTL)
		return nil
	})
	return fault(s.cfg, "write the end of task "+taskID, err)
}
