package procstats

import "time"

// pssEvery is how many rounds share one reading of PSS, which costs about ten times as much as the rest.
const pssEvery = 10

// Usage is what a tree used.
type Usage struct {
	CPUCores    float64 // averaged since the round before
	MemoryBytes int64   // proportional set size of all members
	Processes   int
}

// Meter turns tables into the usage of one tree. It belongs to one goroutine.
type Meter struct {
	root    ID
	members []ID
	cpu     time.Duration
	at      time.Time
	round   int
	shared  map[ID]sharing
}

// sharing is what was found of one process when its PSS was last read.
type sharing struct {
	bytes  int64 // memory that others may share, resident
	beyond int64 // PSS beyond the memory of its own
}

// sharedDrift is a change of shared memory that is worth another reading of PSS before its turn.
const sharedDrift = 1 << 20

// NewMeter measures the tree of root.
func NewMeter(root ID) *Meter { return &Meter{root: root, shared: map[ID]sharing{}} }

// Members are the processes that the last round saw.
func (m *Meter) Members() []ID { return m.members }

// Sample measures the tree in a table read at the time. CPU time of members that ended is kept if their parent waited
// for them.
func (m *Meter) Sample(t *Table, at time.Time) Usage {
	tree := t.Tree(m.root, m.members)
	withPSS := (m.round+m.root.PID)%pssEvery == 0 // spread over the rounds: not all trees in the same one
	m.round++
	var cpu time.Duration
	var u Usage
	m.members = m.members[:0]
	shared := make(map[ID]sharing, len(tree))
	for _, p := range tree {
		if p.State == 'Z' {
			cpu += p.CPU
			continue
		}
		m.members = append(m.members, p.ID)
		cpu += p.CPU
		u.Processes++
		own, others, err := residentBytes(p.PID)
		if err != nil {
			continue // ended meanwhile
		}
		sh, known := m.shared[p.ID]
		if withPSS || !known || max(others-sh.bytes, sh.bytes-others) > sharedDrift {
			if pss, err := PSSBytes(p.PID); err == nil {
				sh = sharing{others, max(0, pss-own)}
			}
		}
		shared[p.ID] = sh
		u.MemoryBytes += own + sh.beyond
	}
	m.shared = shared
	if !m.at.IsZero() {
		if dt := at.Sub(m.at).Seconds(); dt > 0 && cpu > m.cpu {
			u.CPUCores = (cpu - m.cpu).Seconds() / dt
		}
	}
	m.cpu, m.at = cpu, at
	return u
}

// Charged adds up what a memory limit counts of the members that the last round saw, and of root.
func (m *Meter) Charged() int64 {
	var sum int64
	root := false
	for _, id := range m.members {
		root = root || id == m.root
		if b, err := ChargedBytes(id.PID); err == nil {
			sum += b
		}
	}
	if !root {
		if b, err := ChargedBytes(m.root.PID); err == nil {
			sum += b
		}
	}
	return sum
}

// Refresh brings the members up to date without measuring.
func (m *Meter) Refresh(t *Table) {
	tree := t.Tree(m.root, m.members)
	m.members = m.members[:0]
	for _, p := range tree {
		if p.State != 'Z' {
			m.members = append(m.members, p.ID)
		}
	}
}
