package procstats

import (
	"os"
	"time"
)

// pssEvery is how many rounds share one reading of PSS, which costs about thirty times as much as the rest.
const pssEvery = 20

// Usage is what a tree used.
type Usage struct {
	CPUCores    float64 // averaged since the round before
	MemoryBytes int64   // proportional set size of all members
	Processes   int
}

// Meter turns tables into the usage of one tree. It belongs to one goroutine. It may hold two descriptors, for its root's
// files: Close it.
type Meter struct {
	root    ID
	members []ID
	known   map[ID]*remembered
	cpu     time.Duration
	at      time.Time
	round   int
	from    *Table    // where the members come from
	tree    []Process // of the last round, kept for its memory

	files  files
	open   bool // files are
	closed bool
}

// remembered is what is known of a member beyond the round.
type remembered struct {
	round  int // in which it was seen last
	shared sharing
	rest   charge
}

// sharing is what was found of one process when its PSS was last read.
type sharing struct {
	known  bool
	bytes  int64 // memory that others may share, resident
	beyond int64 // PSS beyond the memory of its own
}

// charge is what a limit counted of one process beside anonymous memory when that was last read.
type charge struct {
	known   bool
	others  int64 // memory that others may share, resident, of which shared memory is a part
	swapped int64 // by the whole machine
	bytes   int64 // shared memory and swap
}

// turn reports whether it is a pid's turn in a round, where every one has its turn once in so many rounds. Pids of processes
// that are started alike are often the same number apart, so it is not simply their remainder that decides.
func turn(pid, round, every int) bool {
	scattered := uint32(pid) * 2654435769 >> 8
	return (uint64(scattered)+uint64(round))%uint64(every) == 0
}

// sharedDrift is a change of shared memory that is worth another reading of PSS before its turn.
const sharedDrift = 1 << 20

// NewMeter measures the tree of root.
func NewMeter(root ID) *Meter {
	return &Meter{root: root, members: []ID{root}, known: map[ID]*remembered{}}
}

// Close gives the descriptors back. A closed meter measures on without them.
func (m *Meter) Close() {
	m.release()
	m.closed = true
}

func (m *Meter) release() {
	if m.open {
		m.files.close()
		m.open = false
	}
}

// hold opens the root's files for good.
func (m *Meter) hold() {
	if !m.open && !m.closed {
		m.files, m.open = openFiles(m.root)
		m.closed = !m.open // what cannot be had now is not asked for every time
	}
}

// Members are the processes that the last look saw; before the first, the root.
func (m *Meter) Members() []ID { return m.members }

// Sample measures the tree in a table read at the time. CPU time of members that ended is kept if their parent waited
// for them.
func (m *Meter) Sample(t *Table, at time.Time) Usage {
	m.hold()
	m.from = t
	m.tree = t.appendTree(m.tree[:0], m.root, m.members)
	withPSS := turn(m.root.PID, m.round, pssEvery) // not all trees in the same round
	m.round++
	var cpu time.Duration
	var u Usage
	m.members = m.members[:0]
	for _, p := range m.tree {
		if t.stale {
			now, err := m.read(p.ID)
			if err != nil {
				continue // ended meanwhile
			}
			p = now
		}
		cpu += p.CPU
		if p.State == 'Z' {
			continue
		}
		m.members = append(m.members, p.ID)
		u.Processes++
		own, others, err := m.residentBytes(p.ID)
		if err != nil {
			continue // ended meanwhile
		}
		r := m.remember(p.ID)
		r.round = m.round
		sh := &r.shared
		if withPSS || !sh.known || max(others-sh.bytes, sh.bytes-others) > sharedDrift {
			if pss, err := PSSBytes(p.PID); err == nil {
				*sh = sharing{true, others, max(0, pss-own)}
			}
		}
		u.MemoryBytes += own + sh.beyond
	}
	m.forget()
	if !m.at.IsZero() {
		if dt := at.Sub(m.at).Seconds(); dt > 0 && cpu > m.cpu {
			u.CPUCores = (cpu - m.cpu).Seconds() / dt
		}
	}
	m.cpu, m.at = cpu, at
	return u
}

func (m *Meter) remember(id ID) *remembered {
	r := m.known[id]
	if r == nil {
		r = &remembered{round: m.round}
		m.known[id] = r
	}
	return r
}

// forget drops what is known of processes that this round has not seen.
func (m *Meter) forget() {
	if len(m.known) <= len(m.members) {
		return
	}
	for id, r := range m.known {
		if r.round != m.round {
			delete(m.known, id)
		}
	}
}

// read reads one member as it is now.
func (m *Meter) read(id ID) (Process, error) {
	if m.open && id == m.root {
		return m.files.read(id.PID)
	}
	p, err := Read(id.PID)
	if err == nil && p.ID != id {
		err = os.ErrNotExist
	}
	return p, err
}

func (m *Meter) residentBytes(id ID) (own, others int64, err error) {
	if m.open && id == m.root {
		return m.files.residentBytes(id.PID)
	}
	return residentBytes(id.PID)
}

// Charged adds up what a memory limit counts of the members.
func (m *Meter) Charged() int64 {
	var sum int64
	for _, id := range m.members {
		if b, err := ChargedBytes(id.PID); err == nil {
			sum += b
		}
	}
	return sum
}

// Estimate is Charged at a tenth of its cost: anonymous memory is read, and the rest is taken to be what it was unless shared
// memory has changed or the machine has more swapped out, which SwappedBytes tells. The kernel may lag behind with what it
// is made from.
func (m *Meter) Estimate(swapped int64) int64 {
	m.hold()
	var sum int64
	for _, id := range m.members {
		own, others, err := m.residentBytes(id)
		if err != nil {
			continue // ended meanwhile
		}
		rest := &m.remember(id).rest
		if !rest.known || rest.others != others || swapped > rest.swapped {
			if b, err := beyondAnonymous(id.PID); err == nil {
				*rest = charge{true, others, swapped, b}
			}
		}
		sum += own + rest.bytes
	}
	return sum
}

// Refresh brings the members up to date without measuring.
func (m *Meter) Refresh(t *Table) {
	if t.stale && m.from == t {
		return // nobody was started since
	}
	m.from = t
	m.tree = t.appendTree(m.tree[:0], m.root, m.members)
	m.members = m.members[:0]
	for _, p := range m.tree {
		if p.State != 'Z' {
			m.members = append(m.members, p.ID)
		}
	}
}

// Threads counts the threads of all members by a look at each of them, and drops those that have ended. A process is at least
// one, so that this is what the kernel counts against a limit of a control group, too.
func (m *Meter) Threads() int {
	m.hold()
	alive, threads := m.members[:0], 0
	for _, id := range m.members {
		if p, err := m.read(id); err == nil && p.State != 'Z' {
			alive = append(alive, id)
			threads += max(p.Threads, 1)
		}
	}
	m.members = alive
	return threads
}
