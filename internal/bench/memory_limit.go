package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

const leakLimit = 128 << 20

// leak is how a worker ended that took memory at a constant rate under a limit.
type leak struct {
	status plugins.Status
	base   int64 // what it had before, as the limit counts
	taken  int64
	rate   float64 // bytes a second
}

// memoryByWatchdog lets workers leak at 1 GiB/s and sees how far over the limit the worst one came before it was killed, in
// seconds of its own rate.
func memoryByWatchdog(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(20, 3)
	err = l.withLauncher(ctx, noGroups(), func(launcher *plugins.Launcher) error {
		worst := 0.0
		for range n {
			lk, err := l.leakOnce(ctx, launcher)
			if err != nil {
				return err
			}
			if k := lk.status.Kill; k == nil || k.Kind != skalds.ExitLimit {
				return fmt.Errorf("the leaking worker was not killed for its memory: %s", lk.status)
			}
			worst = max(worst, (float64(lk.base+lk.taken)-leakLimit)/lk.rate)
		}
		out = []value{{value: worst, n: n}}
		return nil
	})
	return out, err
}

// memoryByGroup is the same with a control group, in bytes. The kernel's own count may be some pages beyond the limit: what it
// needs itself to kill is not refused.
func memoryByGroup(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(20, 2)
	err = l.withLauncher(ctx, asFound(), func(launcher *plugins.Launcher) error {
		if why := notByGroup(launcher.Enforcement().Memory); why != "" {
			out = []value{{leftOut: why}}
			return nil
		}
		worst, counted := int64(0), int64(0)
		for range n {
			lk, err := l.leakOnce(ctx, launcher)
			if err != nil {
				return err
			}
			if st := lk.status; st.OOMKills == 0 || st.Peak < leakLimit/2 {
				return fmt.Errorf("the leaking worker was not killed by the kernel at its limit: %s, peak %d", st, st.Peak)
			}
			worst, counted = max(worst, lk.base+lk.taken-leakLimit), max(counted, lk.status.Peak-leakLimit)
		}
		fmt.Fprintf(l.notes, "memory_over_limit_cgroup_bytes: %d with what the kernel took itself\n", counted)
		out = []value{{value: float64(worst), n: n}}
		return nil
	})
	return out, err
}

// notByGroup says why no control group holds a limit; empty where one does.
func notByGroup(e skalds.Enforced) string {
	if e.Mechanism == skalds.MechanismCgroup1 || e.Mechanism == skalds.MechanismCgroup2 {
		return ""
	}
	return fmt.Sprintf("no control group holds it here, but: %s", e.Mechanism)
}

func (l *lab) leakOnce(ctx context.Context, launcher *plugins.Launcher) (lk leak, err error) {
	dir, err := l.room()
	if err != nil {
		return lk, err
	}
	i, err := l.launch(ctx, launcher, skalds.Limits{MemoryBytes: leakLimit})
	if err != nil {
		return lk, err
	}
	defer leave(i)
	if lk.base, err = procstats.ChargedBytes(i.PID()); err != nil {
		return lk, err
	}
	runCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if f, err := runTask(runCtx, i.Worker(), "leak", dir); err == nil {
		return lk, fmt.Errorf("the leaking worker ended by itself: %+v", f)
	}
	<-i.Done()
	lk.status = i.Status()
	lk.taken, lk.rate, err = leaked(filepath.Join(dir, "leaked"))
	return lk, err
}

// leaked reads how much a worker took, and how fast in bytes a second.
func leaked(path string) (taken int64, rate float64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	const size = 16
	b = b[:len(b)/size*size]
	if len(b) < 2*size {
		return 0, 0, errors.New("the leaking worker was killed before it leaked")
	}
	at := func(record []byte) (ns, bytes int64) {
		return int64(binary.LittleEndian.Uint64(record)), int64(binary.LittleEndian.Uint64(record[8:]))
	}
	began, first := at(b)
	ended, last := at(b[len(b)-size:])
	return last, float64(last-first) / (float64(ended-began) / 1e9), nil
}
