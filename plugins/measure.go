package plugins

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/procstats"
)

const (
	watchdogInterval = 100 * time.Millisecond
	nearInterval     = 20 * time.Millisecond // once a tree uses 70 % of its memory
	reaction         = 50 * time.Millisecond // from the kill to freed memory
	nearShare        = 0.7
)

// measure samples every tree once per round and watches limits in between.
func (l *Launcher) measure(ctx context.Context) {
	round := time.NewTicker(l.cfg.SampleEvery)
	defer round.Stop()
	watch := time.NewTimer(watchdogInterval)
	defer watch.Stop()
	var refreshed time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-round.C:
			l.sample(ctx)
			l.reapOrphans(false)
		case <-watch.C:
			refresh := time.Since(refreshed) >= watchdogInterval
			if refresh {
				refreshed = time.Now()
			}
			if l.watchLimits(ctx, refresh) {
				watch.Reset(nearInterval)
			} else {
				watch.Reset(watchdogInterval)
			}
		}
	}
}

// sample is one round for all instances by one look at the process table.
func (l *Launcher) sample(ctx context.Context) {
	l.oomKills.Store(l.oomNow)
	l.oomNow = procstats.OOMKills()
	all := l.all()
	if len(all) == 0 {
		return
	}
	t, err := l.census.Look()
	if err != nil {
		l.log.Error("cannot read the process table", "err", err)
		return
	}
	now := time.Now()
	for _, i := range all {
		i.sampling.Lock()
		u := i.meter.Sample(t, now)
		if cores, ok := i.groupCores(now); ok {
			u.CPUCores = cores
		}
		i.sampling.Unlock()
		if over := u.CPUCores - i.spec.Limits.CPUCores; i.spec.Limits.CPUCores > 0 && over > 0 && l.groups.holdsCPU() {
			l.seen.cpu(over)
		}
		if i.spec.Limits.MemoryBytes > 0 && l.groups.holdsMemory() {
			i.lookForOOM()
			i.lookForStalls(ctx, i.spec.Limits.MemoryBytes)
		}
		usage := skalds.Usage{CPUCores: u.CPUCores, MemoryBytes: u.MemoryBytes}
		i.mu.Lock()
		i.usage, i.peak = usage, i.peak.Max(usage)
		i.mu.Unlock()
		i.recent.round(now, usage)
	}
}

// watchLimits kills trees that are over a limit and reports whether one is close to it. Without refresh, it looks only at
// those that were close to it.
func (l *Launcher) watchLimits(ctx context.Context, refresh bool) (near bool) {
	var table *procstats.Table
	swapped := procstats.SwappedBytes()
	for _, i := range l.all() {
		lim := i.spec.Limits
		if lim.MemoryBytes <= 0 && lim.PIDs <= 0 && i.duty == nil || i.process().reaped.Load() || !refresh && !i.near {
			continue
		}
		if refresh && table == nil {
			var err error
			if table, err = l.census.Glance(); err != nil {
				return false
			}
		}
		i.sampling.Lock()
		if refresh {
			i.meter.Refresh(table)
		}
		charged, threads := i.holds(lim, swapped)
		i.sampling.Unlock()
		i.near = i.watchOne(ctx, lim, charged, threads)
		near = near || i.near
	}
	return near
}

// holds is what the tree has of what is limited. Cheap figures show who is far from its limits; only exact ones are held
// against anybody. The caller holds sampling.
func (i *Instance) holds(lim skalds.Limits, swapped int64) (charged int64, threads int) {
	charged = i.meter.Estimate(swapped)
	if lim.MemoryBytes > 0 && float64(charged) >= nearShare*float64(lim.MemoryBytes) {
		charged = i.charged()
	}
	if lim.PIDs > 0 && !i.l.groups.holdsPIDs() {
		threads = i.meter.Threads()
	}
	return charged, threads
}

// charged is what counts against the memory limit, but for file pages that the kernel can drop. The caller holds sampling.
func (i *Instance) charged() int64 {
	if i.l.groups.holdsMemory() {
		if s, err := i.group.Glance(); err == nil && s.MemoryKnown {
			return s.WorkingSetBytes
		}
	}
	return i.meter.Charged()
}

func (i *Instance) watchOne(ctx context.Context, lim skalds.Limits, charged int64, threads int) (near bool) {
	i.mu.Lock()
	i.peak.MemoryBytes = max(i.peak.MemoryBytes, charged)
	peak := i.peak.MemoryBytes
	i.mu.Unlock()
	i.recent.watch(time.Now(), charged)
	if lim.PIDs > 0 && threads > lim.PIDs {
		i.l.seen.pids(threads - lim.PIDs)
		i.killOver(skalds.LimitPIDs, fmt.Sprintf("processes and threads: the tree has %d, the limit is %d", threads, lim.PIDs))
		return false
	}
	if lim.MemoryBytes <= 0 {
		return false
	}
	if charged > lim.MemoryBytes && !i.l.groups.holdsMemory() { // else the kernel does it, and never sees more
		i.l.seen.memory(charged - lim.MemoryBytes)
		i.killOver(skalds.LimitMemory, fmt.Sprintf("memory: the tree uses %s (peak %s), the limit is %s", mib(charged), mib(peak), mib(lim.MemoryBytes)))
		return false
	}
	if float64(charged) >= nearShare*float64(lim.MemoryBytes) && i.l.groups.holdsMemory() {
		i.lookForOOM()
	}
	share := float64(charged) / float64(lim.MemoryBytes)
	if (share < softShare || i.canRelieve()) && i.relief.due(share, false, time.Now()) {
		go i.relieve(ctx, charged, lim.MemoryBytes, 0)
	}
	return share >= nearShare
}

func mib(b int64) string { return fmt.Sprintf("%.0f MiB", float64(b)/(1<<20)) }
