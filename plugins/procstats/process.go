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
	Threads             int
}

// Table is every process of the machine at one moment. It does not change.
type Table struct {
	byPID    map[int]Process
	children map[int][]int
	stale    bool // only who is whose child holds; the rest is to be read again
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
func (t *Table) Tree(root ID, also []ID) []Process { return t.appendTree(nil, root, also) }

// appendTree is Tree behind what out holds already, which must be nothing of it.
func (t *Table) appendTree(out []Process, root ID, also []ID) []Process {
	w := walk{t: t, out: out, from: len(out)}
	if _, ok := t.Find(root); ok {
		w.visit(root.PID)
	}
	for _, id := range also {
		if _, ok := t.Find(id); ok {
			w.visit(id.PID)
		}
	}
	return w.out
}

// walk goes through trees and meets every process once. Most trees are a process or two.
type walk struct {
	t    *Table
	out  []Process
	from int
	seen map[int]bool // nil while there are few
}

func (w *walk) visit(pid int) {
	if w.met(pid) {
		return
	}
	w.out = append(w.out, w.t.byPID[pid])
	if w.seen != nil {
		w.seen[pid] = true
	}
	for _, c := range w.t.children[pid] {
		w.visit(c)
	}
}

func (w *walk) met(pid int) bool {
	const few = 16
	if w.seen != nil {
		return w.seen[pid]
	}
	met := false
	for _, p := range w.out[w.from:] {
		met = met || p.PID == pid
	}
	if len(w.out)-w.from == few {
		w.seen = map[int]bool{}
		for _, p := range w.out[w.from:] {
			w.seen[p.PID] = true
		}
	}
	return met
}
