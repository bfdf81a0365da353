package procstats

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// rereadEvery is how many looks share one reading of every process that is known already, see Census.
const rereadEvery = 16

// Census is the process table, kept up to date with little reading. Whose child a process is settles to which tree it
// belongs when it is seen first, and it stays there: so a look lists the pids and reads only those that are new. A pid that
// was another's at the last look is noticed by the next of the readings that each gets now and then; for that, all pids
// of the machine would have to be used up between two looks. A Census belongs to one goroutine.
type Census struct {
	list, spare []Process // ascending by pid
	pids        []int
	table       *Table
	looks       int
	lastPID     int  // the one that the kernel gave out last, as of the last look
	trusted     bool // whether the kernel itself tells it
}

// NewCensus has seen nothing yet.
func NewCensus() *Census {
	var fs unix.Statfs_t // containers may have a file of somebody else's there, which is updated from time to time
	err := unix.Statfs("/proc/loadavg", &fs)
	return &Census{trusted: err == nil && fs.Type == unix.PROC_SUPER_MAGIC}
}

// Look lists the processes. In its table, pid, start and parent hold; the rest is as of when a process was last read, and a
// Meter reads what it measures itself.
func (c *Census) Look() (*Table, error) {
	c.looks++
	return c.look(func(pid int) bool { return turn(pid, c.looks, rereadEvery) })
}

// Glance is a look between two rounds, which costs a single read if nothing was started since the last one. What has ended
// may still be in its table.
func (c *Census) Glance() (*Table, error) {
	if c.table != nil && c.lastPID > 0 && c.lastPID == c.newestPID() {
		return c.table, nil
	}
	return c.look(func(int) bool { return false })
}

func (c *Census) look(again func(pid int) bool) (*Table, error) {
	newest := c.newestPID() // before the listing: what is started meanwhile is the next look's
	var err error
	if c.pids, err = appendPIDs(c.pids[:0]); err != nil {
		return nil, err
	}
	next, old, changed := c.spare[:0], c.list, c.table == nil
	for _, pid := range c.pids {
		for len(old) > 0 && old[0].PID < pid {
			old, changed = old[1:], true
		}
		known := len(old) > 0 && old[0].PID == pid
		if known && !again(pid) {
			next, old = append(next, old[0]), old[1:]
			continue
		}
		p, err := Read(pid)
		if err != nil {
			continue // ended meanwhile; a known one is still in old, where the next pid sees it
		}
		if known {
			changed = changed || p.ID != old[0].ID || p.PPID != old[0].PPID
			old = old[1:]
		} else {
			changed = true
		}
		next = append(next, p)
	}
	changed = changed || len(old) > 0
	c.list, c.spare, c.lastPID = next, c.list, newest
	if changed {
		c.table = NewTable(c.adopt(next))
		c.table.stale = true
	}
	return c.table, nil
}

// adopt reads those again whose parents have gone, also if the parent's pid is another's now, which then is younger than
// its alleged child.
func (c *Census) adopt(list []Process) []Process {
	for i, p := range list {
		if p.PPID == 0 {
			continue // nobody's, or of somebody outside of this container
		}
		at, found := slices.BinarySearchFunc(list, p.PPID, func(q Process, pid int) int { return q.PID - pid })
		if found && list[at].Start <= p.Start {
			continue
		}
		if now, err := Read(p.PID); err == nil {
			list[i] = now
		}
	}
	return list
}

// newestPID is the one that the kernel gave out last, to a process or to a thread; 0 where that is not known.
func (c *Census) newestPID() int {
	if !c.trusted {
		return 0
	}
	buf := bufs.Get().(*[]byte)
	defer bufs.Put(buf)
	b, err := readFile("/proc/loadavg", *buf)
	if err != nil {
		return 0
	}
	b = bytes.TrimSpace(b)
	pid, err := strconv.Atoi(string(b[bytes.LastIndexByte(b, ' ')+1:]))
	if err != nil {
		return 0
	}
	return pid
}

// appendPIDs lists all processes, ascending.
func appendPIDs(pids []int) ([]int, error) {
	fd, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return pids, fmt.Errorf("list processes: %w", &os.PathError{Op: "open", Path: "/proc", Err: err})
	}
	defer func() { _ = unix.Close(fd) }()
	if pids, err = appendNumbers(pids, fd); err != nil {
		return pids, fmt.Errorf("list processes: %w", err)
	}
	if !slices.IsSorted(pids) {
		slices.Sort(pids)
	}
	return pids, nil
}
