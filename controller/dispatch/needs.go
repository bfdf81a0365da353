package dispatch

import (
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
)

// What a task is counted for while nothing is known about it.
const (
	SmallCPUCores    = 0.05
	SmallMemoryBytes = 32 << 20
)

// source says where a figure comes from.
type source int

const (
	fromNothing source = iota
	fromClass
	fromRuns
	fromRequest
	fromRaised
)

// Needs is what a task is counted for, and why.
type Needs struct {
	skalds.Resources
	// FirmCPU: somebody asked for that much CPU. Without it the CPU of a node may be promised several times over.
	FirmCPU     bool
	cpu, memory source
	runs        int // that were learned from
}

// From says where the figures come from: "requested", "learned from 12 runs", "class default", "nothing known", "raised
// limit".
func (n *Needs) From() string {
	if n.memory != n.cpu {
		return fmt.Sprintf("cpu %s, memory %s", n.cpu.words(n.runs), n.memory.words(n.runs))
	}
	return n.cpu.words(n.runs)
}

// needs settles what a task takes: what it asks for, else what earlier runs took, else what its class says, else little.
// A limit bounds it: more cannot be taken. Ends for memory have shown that what was allowed before is too little, so that
// all of the raised limit is counted.
func needs(r *Request, class *skalds.ClassInfo, p *Profile, now time.Time) Needs {
	var n Needs
	cpu, memory := fromNothing, fromNothing
	switch {
	case r.Resources.CPUCores > 0:
		n.CPUCores, cpu = r.Resources.CPUCores, fromRequest
	case p.known():
		n.CPUCores, cpu = p.needs(now).CPUCores, fromRuns
	case class != nil && class.Resources.CPUCores > 0:
		n.CPUCores, cpu = class.Resources.CPUCores, fromClass
	default:
		n.CPUCores = SmallCPUCores
	}
	switch {
	case r.Resources.MemoryBytes > 0:
		n.MemoryBytes, memory = r.Resources.MemoryBytes, fromRequest
	case p.known():
		n.MemoryBytes, memory = p.needs(now).MemoryBytes, fromRuns
	case class != nil && class.Resources.MemoryBytes > 0:
		n.MemoryBytes, memory = class.Resources.MemoryBytes, fromClass
	default:
		n.MemoryBytes = SmallMemoryBytes
	}
	limits := r.Limits
	if class != nil {
		if limits.CPUCores == 0 {
			limits.CPUCores = class.Limits.CPUCores
		}
		if limits.MemoryBytes == 0 {
			limits.MemoryBytes = class.Limits.MemoryBytes
		}
	}
	if limits.CPUCores > 0 && cpu != fromRequest {
		n.CPUCores = min(n.CPUCores, limits.CPUCores)
	}
	if limits.MemoryBytes > 0 && memory != fromRequest {
		n.MemoryBytes = min(n.MemoryBytes, max(limits.MemoryBytes, r.Raised))
	}
	if r.Raised > n.MemoryBytes {
		n.MemoryBytes, memory = r.Raised, fromRaised
	}
	n.FirmCPU = cpu == fromRequest
	if n.cpu, n.memory = cpu, memory; p != nil {
		n.runs = p.runs
	}
	return n
}

func (s source) words(runs int) string {
	switch s {
	case fromRequest:
		return "requested"
	case fromRaised:
		return "raised limit"
	case fromRuns:
		if runs == 1 {
			return "learned from 1 run"
		}
		return fmt.Sprintf("learned from %d runs", runs)
	case fromClass:
		return "class default"
	}
	return "nothing known"
}
