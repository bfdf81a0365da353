package controller

import (
	"sync"
	"time"
	"unsafe"

	"github.com/skalds-go/skalds"
)

// Bounds of what is remembered.
const (
	historyWindow = time.Hour
	// historyBytes is what all points together may take; 10,000 series in full take 106 MB. Where it is spent series stop
	// growing and overwrite their oldest points sooner. A new one gets its first points all the same.
	historyBytes = 128 << 20
	// quietFor is how long a task must not have been measured before its series is closed.
	quietFor = time.Minute
)

// usageHistory keeps what tasks took in the last hour, in memory.
type usageHistory struct {
	mu    sync.Mutex // guards all below
	tasks map[string]*series
	bytes int // of all points
	limit int
}

func newUsageHistory() *usageHistory {
	return &usageHistory{tasks: map[string]*series{}, limit: historyBytes}
}

// newSeriesBytes is what the first points of a series take.
const newSeriesBytes = firstPoints * int(unsafe.Sizeof(moment{})+unsafe.Sizeof(usageStep{}))

func (s *series) bytes() int {
	return cap(s.moments.items)*int(unsafe.Sizeof(moment{})) + cap(s.steps.items)*int(unsafe.Sizeof(usageStep{}))
}

func (u *usageHistory) mayGrow(bytes int) bool {
	if u.bytes+bytes > u.limit {
		return false
	}
	u.bytes += bytes
	return true
}

func (u *usageHistory) add(taskID string, sample skalds.UsageSample) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.tasks[taskID]
	if s == nil {
		s = &series{}
		u.tasks[taskID] = s
		u.bytes += newSeriesBytes
	}
	s.add(sample, u.mayGrow)
}

// of lists the samples of a task within the window, oldest first.
func (u *usageHistory) of(taskID string, now time.Time) []skalds.UsageSample {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.tasks[taskID]
	if s == nil {
		return nil
	}
	from := now.Add(-historyWindow).UnixMilli()
	return joinUsage(s.averages(from, s.newest+1, stepSpan), s.recent(from))
}

// pending is what has to be stored: of every task its minutes from one time (ms) to before another, and of those that are
// not measured any more the last samples one by one.
func (u *usageHistory) pending(from, to int64, now time.Time) (pieces []TaskUsage, closed map[string]int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	quiet := now.Add(-quietFor).UnixMilli()
	closed = map[string]int64{}
	for id, s := range u.tasks {
		over := s.newest < quiet
		end := to
		if over {
			closed[id] = s.newest
			end = s.newest + 1
		}
		samples := s.averages(from, end, time.Minute)
		if over {
			samples = append(samples, s.recent(s.newest-momentsKept*time.Second.Milliseconds())...)
		}
		if len(samples) > 0 {
			pieces = append(pieces, TaskUsage{id, samples})
		}
	}
	return pieces, closed
}

// forget drops the series that were closed and have not been measured since.
func (u *usageHistory) forget(closed map[string]int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, newest := range closed {
		if s := u.tasks[id]; s != nil && s.newest == newest {
			u.drop(id, s)
		}
	}
}

// sweep forgets tasks that were not measured for the whole window: where nobody stores them they go all the same.
func (u *usageHistory) sweep(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	from := now.Add(-historyWindow).UnixMilli()
	for id, s := range u.tasks {
		if s.newest < from {
			u.drop(id, s)
		}
	}
}

// drop forgets a series. The mutex is held.
func (u *usageHistory) drop(id string, s *series) {
	u.bytes -= s.bytes()
	delete(u.tasks, id)
}
