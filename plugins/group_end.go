package plugins

import (
	"fmt"
	"syscall"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// judgeByGroup adds to a status what the kernel has done because of a limit. ours says that the end was our doing.
func (i *Instance) judgeByGroup(st *Status, ours bool) {
	if i.group == nil || !i.l.groups.holdsMemory() {
		// The whole machine's count is all that there is, also of those that are killed at limits of their own. It costs as much
		// as all other readings at an end together.
		st.OOM = st.Signal == syscall.SIGKILL && !ours && procstats.OOMKills() > i.l.oomKills.Load() && procstats.MemoryWasShort(i.Peak().MemoryBytes)
	}
	if i.group == nil {
		return
	}
	s, err := i.group.Stat()
	if err != nil {
		i.l.log.Debug("cannot read what a control group has counted", "task_id", i.spec.TaskID, "err", err)
		return
	}
	st.Refused, st.OOMKills, st.held = s.RefusedForks, s.OOMKills, s.MemoryPeakBytes
	if s.OOMKills == 0 {
		return
	}
	st.Peak = s.MemoryPeakBytes
	st.OOM = st.Signal == syscall.SIGKILL && !ours
	if overLimit(st.Peak, i.spec.Limits) {
		i.l.seen.memory(max(0, s.MemoryPeakBytes-i.spec.Limits.MemoryBytes))
	}
}

// limitSlack is how far below its limit a group can be when the kernel kills for it: what it could not give any more was not
// counted, and kernels count in batches.
const limitSlack = 1 << 20

// overLimit reports whether an out-of-memory kill in a group whose peak was that was for its own limit. The kernel counts those
// for want of memory of the machine, or of a group above, in the same way.
func overLimit(peak int64, l skalds.Limits) bool {
	return l.MemoryBytes > 0 && peak >= l.MemoryBytes-max(limitSlack, l.MemoryBytes/64)
}

// oomText says for what the kernel has killed whom.
func oomText(whom string, peak int64, l skalds.Limits) string {
	if overLimit(peak, l) {
		return fmt.Sprintf("memory: the kernel killed %s, the limit is %s (peak %s)", whom, mib(l.MemoryBytes), mib(peak))
	}
	return "memory: the kernel killed " + whom + ": the machine, or a control group that this node is in, was out of memory"
}

// memoryIfLimited names the limit that an out-of-memory kill was for: none, where the machine was short and not the task.
func memoryIfLimited(peak int64, l skalds.Limits) string {
	if overLimit(peak, l) {
		return skalds.LimitMemory
	}
	return ""
}

// What the kernel kills for memory.
const (
	itself   = "the worker"
	partOfIt = "a process of the task"
)

// removeGroup removes the control group, which the kernel lets go of a moment after the last process.
func (i *Instance) removeGroup() {
	if err := i.group.Remove(); err != nil {
		i.l.log.Warn("a control group is left behind until the next start", "task_id", i.spec.TaskID, "err", err)
	}
}

// groupCores is what the tree used since the call before, those included that have ended; false where the group cannot tell.
// The caller holds sampling.
func (i *Instance) groupCores(now time.Time) (cores float64, ok bool) {
	if i.group == nil {
		return 0, false
	}
	used, known, err := i.group.CPUTime()
	if err != nil || !known {
		return 0, false
	}
	if dt := now.Sub(i.groupAt).Seconds(); !i.groupAt.IsZero() && dt > 0 {
		cores = max(0, (used-i.groupCPU).Seconds()/dt)
	}
	i.groupCPU, i.groupAt = used, now
	return cores, true
}

// lookForOOM ends a tree of which the kernel has killed a part because of the limit: version 1 picks one process, and what is
// left of a worker without its children is not what its author had in mind.
func (i *Instance) lookForOOM() {
	s, err := i.group.Stat()
	if err != nil || s.OOMKills == 0 || i.process().reaped.Load() {
		return
	}
	i.giveReason(KillReason{Kind: skalds.ExitOOM, Limit: memoryIfLimited(s.MemoryPeakBytes, i.spec.Limits), Message: oomText(partOfIt, s.MemoryPeakBytes, i.spec.Limits)})
	i.signalTree(syscall.SIGKILL)
}
