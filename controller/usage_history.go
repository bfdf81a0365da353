package controller

import (
	"sync"
	"time"

	"github.com/skalds-go/skalds"
)

// usageHistory keeps what tasks took in the last minutes, in memory.
type usageHistory struct {
	window time.Duration

	mu    sync.Mutex // guards tasks
	tasks map[string][]skalds.UsageSample
}

func newUsageHistory(window time.Duration) *usageHistory {
	return &usageHistory{window: window, tasks: map[string][]skalds.UsageSample{}}
}

func (u *usageHistory) add(taskID string, s skalds.UsageSample, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := u.tasks[taskID]
	from := now.Add(-u.window).UnixMilli()
	if len(list) > 0 && list[0].At < from && len(list) == cap(list) { // before it would grow
		old := 0
		for old < len(list) && list[old].At < from {
			old++
		}
		list = list[:copy(list, list[old:])]
	}
	u.tasks[taskID] = append(list, s)
}

// of lists the samples of a task within the window, oldest first.
func (u *usageHistory) of(taskID string, now time.Time) []skalds.UsageSample {
	u.mu.Lock()
	defer u.mu.Unlock()
	from := now.Add(-u.window).UnixMilli()
	out := []skalds.UsageSample{}
	for _, s := range u.tasks[taskID] {
		if s.At >= from {
			out = append(out, s)
		}
	}
	return out
}

// sweep forgets tasks that were not measured for the whole window.
func (u *usageHistory) sweep(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	from := now.Add(-u.window).UnixMilli()
	for id, list := range u.tasks {
		if list[len(list)-1].At < from {
			delete(u.tasks, id)
		}
	}
}
