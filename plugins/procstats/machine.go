package procstats

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
)

// Machine is the whole machine as this process may use it.
type Machine struct {
	CPUCores        float64 // cores that this process may use (affinity and CPU quota included)
	MemoryBytes     int64
	UsedCPUCores    float64 // averaged since the call before
	UsedMemoryBytes int64   // what is not available to new processes
}

// Sampler measures the machine; it remembers the counters of the call before. It is safe for concurrent use.
type Sampler struct {
	mu   sync.Mutex // guards busy, at and used
	busy float64
	at   time.Time
	used float64
}

// New makes a sampler. The first Machine reports no CPU use, having nothing to compare with.
func New() *Sampler { return &Sampler{} }

// Machine measures.
func (s *Sampler) Machine(ctx context.Context) (Machine, error) {
	vm, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return Machine{}, fmt.Errorf("measure memory: %w", err)
	}
	times, err := cpu.TimesWithContext(ctx, false)
	if err != nil {
		return Machine{}, fmt.Errorf("measure cpu: %w", err)
	}
	if len(times) == 0 {
		return Machine{}, fmt.Errorf("measure cpu: the system reports no times")
	}
	t := times[0]
	busy := t.User + t.System + t.Nice + t.Irq + t.Softirq + t.Steal // guest time is part of user time
	m := Machine{
		// GOMAXPROCS follows affinity and cgroup quota of this process (Go 1.25).
		CPUCores: float64(runtime.GOMAXPROCS(0)), MemoryBytes: int64(vm.Total), UsedMemoryBytes: int64(vm.Total - vm.Available),
	}
	if limit := memoryLimit(); limit > 0 && limit < m.MemoryBytes {
		m.MemoryBytes = limit
		m.UsedMemoryBytes = min(m.UsedMemoryBytes, limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.at.IsZero() {
		if dt := now.Sub(s.at).Seconds(); dt >= 0.05 { // counters move in steps of 10 ms
			s.used = max(0, (busy-s.busy)/dt)
			s.busy, s.at = busy, now
		}
	} else {
		s.busy, s.at = busy, now
	}
	m.UsedCPUCores = min(s.used, float64(runtime.NumCPU()))
	return m, nil
}
