package procstats

import "time"

// ID identifies a process for good: pids are used again, a pid together with its start time is not (within one boot).
type ID struct {
	PID   int
	Start uint64 // clock ticks since boot on Linux, ms since epoch elsewhere
}

// Process is one line of a table.
type Process struct {
	ID
	PPID, PGID, Session int
	State               byte          // 'R', 'S', 'T' (stopped), 'Z' (zombie) …
	CPU                 time.Duration // of itself and of children that it has waited for
	RSSBytes            int64
}

// Table is every process of the machine at one moment.
type Table struct {
	byPID    map[int]Process
	children map[int][]int
}

// NewTable indexes a list of processes.
func NewTable(list []Process) *Table {
	t := &Table{byPID: make(map[int]Process, len(list)), children: make(map[int][]int, len(list))}
	for _, p := range list {
		t.byPID[p.PID] = p
		t.children[p.PPID] = append(t.children[p.PPID], p.PID)
	}
	return t
}

// Len is the number of processes.
func (t *Table) Len() int { return len(t.byPID) }

// Find looks a process up.
func (t *Table) Find(id ID) (Process, bool) {
	p, ok := t.byPID[id.PID]
	return p, ok && p.Start == id.Start
}

// ByPID looks a pid up.
func (t *Table) ByPID(pid int) (Process, bool) {
	p, ok := t.byPID[pid]
	return p, ok
}

// Children lists the pids whose parent is pid.
func (t *Table) Children(pid int) []int { return t.children[pid] }

// Tree lists what belongs to root: itself and all descendants. also names further members (known from earlier rounds, such
// as those whose parent has died since) whose descendants count too.
func (t *Table) Tree(root ID, also []ID) []Process {
	seen := map[int]bool{}
	var out []Process
	var visit func(pid int)
	visit = func(pid int) {
		if seen[pid] {
			return
		}
		seen[pid] = true
		if p, ok := t.byPID[pid]; ok {
			out = append(out, p)
		}
		for _, c := range t.children[pid] {
			visit(c)
		}
	}
	if _, ok := t.Find(root); ok {
		visit(root.PID)
	}
	for _, id := range also {
		if _, ok := t.Find(id); ok {
			visit(id.PID)
		}
	}
	return out
}
