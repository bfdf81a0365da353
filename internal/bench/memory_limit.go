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

// watchdogOvershoot lets workers leak at 1 GiB/s under a limit and sees how far over it the worst one came before it was
// killed, in seconds of its own rate.
func watchdogOvershoot(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(20, 3)
	err = l.withLauncher(ctx, func(launcher *plugins.Launcher) error {
		worst := 0.0
		for range n {
			over, err := l.leakOnce(ctx, launcher)
			if err != nil {
				return err
			}
			worst = max(worst, over)
		}
		out = []value{{value: worst, n: n}}
		return nil
	})
	return out, err
}

func (l *lab) leakOnce(ctx context.Context, launcher *plugins.Launcher) (float64, error) {
	dir, err := l.room()
	if err != nil {
		return 0, err
	}
	i, err := l.launch(ctx, launcher, skalds.Limits{MemoryBytes: leakLimit})
	if err != nil {
		return 0, err
	}
	defer leave(i)
	base, err := procstats.ChargedBytes(i.PID()) // as the limit counts
	if err != nil {
		return 0, err
	}
	runCtx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if f, err := runTask(runCtx, i.Worker(), "leak", dir); err == nil {
		return 0, fmt.Errorf("the leaking worker ended by itself: %+v", f)
	}
	<-i.Done()
	if st := i.Status(); st.Kill == nil || st.Kill.Kind != skalds.ExitLimit {
		return 0, fmt.Errorf("the leaking worker was not killed for its memory: %s", st)
	}
	taken, rate, err := leaked(filepath.Join(dir, "leaked"))
	if err != nil {
		return 0, err
	}
	return (float64(base+taken) - leakLimit) / rate, nil
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
