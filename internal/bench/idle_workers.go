package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
)

// idleWorkers is the memory that is an idle worker's alone when many run of the same file: each has answered an RPC and
// waits.
func idleWorkers(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(50, 10)
	err = l.withLauncher(ctx, asFound(), func(launcher *plugins.Launcher) error {
		var pids []int
		for range n {
			i, err := l.launch(ctx, launcher, skalds.Limits{})
			if err != nil {
				return err
			}
			pids = append(pids, i.PID())
		}
		var sum int64
		for _, pid := range pids {
			b, err := uniqueBytes(pid)
			if err != nil {
				return err
			}
			sum += b
		}
		out = []value{{value: mebibytes(sum) / float64(n), n: n}}
		return nil
	})
	return out, err
}

// uniqueBytes is what no other process shares (proc_pid_smaps(5)).
func uniqueBytes(pid int) (int64, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/smaps_rollup"
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var sum int64
	found := 0
	for line := range bytes.Lines(b) {
		for _, field := range []string{"Private_Clean:", "Private_Dirty:"} {
			rest, ok := bytes.CutPrefix(line, []byte(field))
			if !ok {
				continue
			}
			var kb int64
			if _, err := fmt.Fscan(bytes.NewReader(rest), &kb); err != nil {
				return 0, fmt.Errorf("read %s: %w", path, err)
			}
			sum, found = sum+kb<<10, found+1
		}
	}
	if found != 2 {
		return 0, fmt.Errorf("read %s: it does not say what is private", path)
	}
	return sum, nil
}

func mebibytes(b int64) float64 { return float64(b) / (1 << 20) }
