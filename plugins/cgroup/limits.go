package cgroup

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits is what a group may use. A limit of zero is none.
type Limits struct {
	// MemoryBytes is the most memory, file pages included; swap is not used where the kernel can be told so.
	MemoryBytes int64
	// CPUCores is the share of CPU time, in cores: the group waits when it has used that much of a period of 100 ms.
	CPUCores float64
	// PIDs is the most processes and threads.
	PIDs int64
	// IOWeight is the share of a busy disk against others, from 1 to 10000; the kernel takes 100 where none is given.
	IOWeight int64
	// CountOOM joins the hierarchy of memory even where it is not limited, because OOMKills is known there alone.
	CountOOM bool
	// All joins the hierarchies of all limits, also of those that are not given yet: Set can give them later.
	All bool
}

func (l Limits) has(c controller) bool {
	switch c {
	case memory:
		return l.MemoryBytes > 0
	case cpu:
		return l.CPUCores > 0
	case pids:
		return l.PIDs > 0
	case io:
		return l.IOWeight > 0
	default:
		return false
	}
}

// ErrBelowUse says that a group uses more memory than a new limit allows. The old limit stands.
var ErrBelowUse = errors.New("more memory is in use than the new limit allows")

const (
	period   = 100_000 // of CPU time, in microseconds
	minQuota = 1_000   // the kernel takes no less
)

// limit writes limits. In a fresh group those that are none stand already.
func (g *Group) limit(l Limits, again bool) error {
	for _, c := range limiting {
		if !again && !l.has(c) {
			continue
		}
		d := g.dir(c)
		switch {
		case d == nil && l.has(c) && g.held[c]:
			return fmt.Errorf("group %s was made without a limit of %s and cannot get one", g.name, c)
		case d == nil:
			continue
		}
		if err := g.write(*d, c, l, again); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) write(d dir, c controller, l Limits, again bool) error {
	switch c {
	case memory:
		return g.writeMemory(d, l.MemoryBytes, again)
	case cpu:
		return g.writeCPU(d, l.CPUCores)
	case pids:
		return g.kernel.write(d.file("pids.max"), orMax(l.PIDs))
	default:
		return g.writeIO(d, l.IOWeight)
	}
}

func orMax(n int64) string {
	if n <= 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

// writeMemory refuses a limit that is below use before version 2 would kill somebody to make it hold.
func (g *Group) writeMemory(d dir, limit int64, again bool) error {
	if again && limit > 0 {
		if needed, err := d.unreclaimable(limit); err != nil {
			return err
		} else if needed > limit {
			return fmt.Errorf("limit memory of group %s to %d bytes, of which %d are in use: %w", g.name, limit, needed, ErrBelowUse)
		}
	}
	if d.version == 2 {
		err := g.kernel.write(d.file("memory.max"), orMax(limit))
		// Without swap accounting there is no such file.
		err = errors.Join(err, gone(g.kernel.write(d.file("memory.swap.max"), when(limit > 0, "0", "max"))))
		return errors.Join(err, gone(g.kernel.write(d.file("memory.oom.group"), when(limit > 0, "1", "0"))))
	}
	value := when(limit > 0, strconv.FormatInt(limit, 10), "-1")
	steps := []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}
	if !exists(d.file(steps[1])) {
		// Swap is not counted: what the group is short of is not swapped out at least.
		if err := gone(g.kernel.write(d.file("memory.swappiness"), when(limit > 0, "0", "60"))); err != nil {
			return err
		}
		steps = steps[:1]
	} else if now, err := readNumber(d.file(steps[0])); again && err == nil && (limit <= 0 || limit > now) {
		steps[0], steps[1] = steps[1], steps[0] // memory with swap is never less than memory alone
	}
	for _, file := range steps {
		if err := g.kernel.write(d.file(file), value); err != nil {
			if errors.Is(err, unix.EBUSY) {
				err = errors.Join(ErrBelowUse, err)
			}
			return fmt.Errorf("limit memory of group %s: %w", g.name, err)
		}
	}
	return nil
}

func when(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

func (g *Group) writeCPU(d dir, cores float64) error {
	quota := int64(math.Round(cores * period))
	if cores > 0 {
		quota = max(quota, minQuota)
	}
	if d.version == 2 {
		return g.kernel.write(d.file("cpu.max"), fmt.Sprint(orMax(quota), " ", period))
	}
	if err := g.kernel.write(d.file("cpu.cfs_period_us"), strconv.Itoa(period)); err != nil {
		return err
	}
	none := "-1"
	err := g.kernel.write(d.file("cpu.cfs_quota_us"), when(quota > 0, strconv.FormatInt(quota, 10), none))
	if errors.Is(err, unix.EINVAL) && allowed(filepath.Dir(d.path)) < cores {
		// A group above has less than that, and the kernel takes no more below it. What it has is the limit, then.
		return g.kernel.write(d.file("cpu.cfs_quota_us"), none)
	}
	return err
}

// allowed is how many cores a group of version 1 and those above it leave to groups below.
func allowed(path string) float64 {
	least := math.Inf(1)
	for ; exists(filepath.Join(path, "cpu.cfs_quota_us")); path = filepath.Dir(path) {
		quota, err := readNumber(filepath.Join(path, "cpu.cfs_quota_us"))
		of, err2 := readNumber(filepath.Join(path, "cpu.cfs_period_us"))
		if err == nil && err2 == nil && quota > 0 && of > 0 {
			least = min(least, float64(quota)/float64(of))
		}
	}
	return least
}

// weights are the files for a share of a disk, by the scheduler that reads them, and how our weight is written there.
var weights = map[int][]struct {
	file   string
	weight func(int64) string
}{
	2: {
		{"io.weight", func(w int64) string { return fmt.Sprint("default ", clamp(w, 1, 10000)) }},
		{"io.bfq.weight", func(w int64) string { return fmt.Sprint(clamp(w, 1, 1000)) }},
	},
	1: {
		{"blkio.weight", func(w int64) string { return fmt.Sprint(clamp(w*5, 10, 1000)) }}, // 500 is usual there
		{"blkio.bfq.weight", func(w int64) string { return fmt.Sprint(clamp(w, 1, 1000)) }},
	},
}

const usualWeight = 100

func (g *Group) writeIO(d dir, weight int64) error {
	if weight <= 0 {
		weight = usualWeight
	}
	for _, w := range weights[d.version] {
		if err := gone(g.kernel.write(d.file(w.file), w.weight(weight))); err != nil {
			return err
		}
	}
	return nil
}

func clamp(n, low, high int64) int64 { return min(max(n, low), high) }

func readNumber(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return parseNumber(strings.TrimSpace(string(b)))
}

// parseNumber reads a number as the kernel writes it; more than fits, and "max", is the greatest there is.
func parseNumber(s string) (int64, error) {
	if s == "max" {
		return math.MaxInt64, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return n, nil
	}
	return n, err
}
