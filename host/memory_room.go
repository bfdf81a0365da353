package host

import (
	"math"
	"sync"

	"github.com/skalds-go/skalds"
)

// foreignWeight is the weight of the newest measurement in the smoothed figure of what others use, as the dispatcher has it: a
// task that has just grown may be in the figure of the machine before it is in its own.
const foreignWeight = 0.3

// memoryRoom is what this node has left for a task, counted as the dispatcher counts it.
type memoryRoom struct {
	roster *roster

	mu       sync.Mutex // guards all below
	known    bool
	capacity int64
	foreign  float64 // smoothed
}

// observe takes what was measured for a heartbeat.
func (m *memoryRoom) observe(capacity skalds.Capacity, foreign skalds.Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = capacity.MemoryBytes
	if !m.known {
		m.foreign, m.known = float64(foreign.MemoryBytes), true
		return
	}
	m.foreign += foreignWeight * (float64(foreign.MemoryBytes) - m.foreign)
}

// left is the capacity without what others and all other tasks take: the larger of what those reserve and what they use.
// Before anything was measured, it is unbounded.
func (m *memoryRoom) left(exceptTask string) int64 {
	m.mu.Lock()
	known, left := m.known, m.capacity-int64(m.foreign)
	m.mu.Unlock()
	if !known {
		return math.MaxInt64
	}
	for _, t := range m.roster.all() {
		if t.taskID == exceptTask {
			continue
		}
		v := t.seen()
		left -= max(v.reserved.MemoryBytes, v.instance().Usage.MemoryBytes)
	}
	return left
}
