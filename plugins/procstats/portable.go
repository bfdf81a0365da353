package procstats

import (
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// ListPortable is List by gopsutil: slower, and on every system. Groups and sessions are not known to it.
func ListPortable() ([]Process, error) {
	pids, err := process.Pids()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	out := make([]Process, 0, len(pids))
	for _, pid := range pids {
		if p, err := ReadPortable(int(pid)); err == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// ReadPortable is Read by gopsutil. CPU is that of the process itself, Start is ms since epoch.
func ReadPortable(pid int) (Process, error) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return Process{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	ppid, err := p.Ppid()
	if err != nil {
		return Process{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	created, err := p.CreateTime()
	if err != nil {
		return Process{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	out := Process{ID: ID{PID: pid, Start: uint64(created)}, PPID: int(ppid)}
	if t, err := p.Times(); err == nil {
		out.CPU = time.Duration((t.User + t.System) * float64(time.Second))
	}
	if m, err := p.MemoryInfo(); err == nil {
		out.RSSBytes = int64(m.RSS)
	}
	if n, err := p.NumThreads(); err == nil {
		out.Threads = int(n)
	}
	if s, err := p.Status(); err == nil && len(s) > 0 {
		switch s[0] {
		case process.Zombie:
			out.State = 'Z'
		case process.Stop:
			out.State = 'T'
		}
	}
	return out, nil
}
