package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// treeSize is what the worker grows, itself included.
const treeSize = 30

// growTree launches a worker and waits until its tree is complete.
func (l *lab) growTree(ctx context.Context, launcher *plugins.Launcher) (*plugins.Instance, []procstats.ID, error) {
	i, dir, err := l.launchDoing(ctx, launcher, skalds.Limits{}, "tree")
	if err != nil {
		return nil, nil, err
	}
	var tree []procstats.ID
	err = until(ctx, "the tree is complete", func() (bool, error) {
		tree, err = treeIn(dir)
		return len(tree) == treeSize, err
	})
	if err != nil {
		leave(i)
		return nil, nil, err
	}
	return i, tree, nil
}

// treeIn reads which processes of a tree have noted themselves and live.
func treeIn(dir string) (tree []procstats.ID, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "tree"))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("read what %s noted: %w", dir, err)
		}
		if p, err := procstats.Read(pid); err == nil {
			tree = append(tree, p.ID)
		}
	}
	return tree, nil
}

// killTree is the time from the kill of a tree of 30 processes until its Instance is done, without a control group and in one.
func killTree(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(20, 2)
	for _, cfg := range []plugins.LauncherConfig{noGroups(), asFound()} {
		err = l.withLauncher(ctx, cfg, func(launcher *plugins.Launcher) error {
			var kills []time.Duration
			for range n {
				i, tree, err := l.growTree(ctx, launcher)
				if err != nil {
					return err
				}
				start := time.Now()
				i.Kill(skalds.ExitCancelled, "measured")
				<-i.Done()
				kills = append(kills, time.Since(start))
				for _, id := range tree {
					if p, err := procstats.Read(id.PID); err == nil && p.ID == id && p.State != 'Z' {
						return fmt.Errorf("process %d outlived its tree", id.PID)
					}
				}
			}
			out = append(out, value{value: milliseconds(median(kills)), n: n})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
