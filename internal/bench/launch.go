package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins"
)

// withLauncher gives fn a running launcher; whatever fn leaves running is killed. Whether it uses control groups is in cfg,
// not in the environment.
func (l *lab) withLauncher(ctx context.Context, cfg plugins.LauncherConfig, fn func(*plugins.Launcher) error) error {
	dir, err := l.room()
	if err != nil {
		return err
	}
	cfg.RunDir = dir
	launcher, err := plugins.NewLauncher(cfg, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = launcher.Run(ctx) }) // always nil: it ends with ctx
	defer running.Wait()
	defer cancel()
	return fn(launcher)
}

// Launchers that use control groups as they are found here, and that use none.
func asFound() plugins.LauncherConfig { return plugins.LauncherConfig{Cgroups: plugins.CgroupsAuto} }

func noGroups() plugins.LauncherConfig { return plugins.LauncherConfig{Cgroups: plugins.CgroupsOff} }

// launch starts an instance and returns when it has answered its first RPC.
func (l *lab) launch(ctx context.Context, launcher *plugins.Launcher, limits skalds.Limits) (*plugins.Instance, error) {
	i, err := launcher.Launch(ctx, plugins.LaunchSpec{Plugin: l.plugin, TaskID: "bench", Epoch: 1, Attempt: 1, Limits: limits, Services: noServices{}})
	if err != nil {
		return nil, err
	}
	if err := firstCall(ctx, i.Worker()); err != nil {
		leave(i)
		return nil, err
	}
	return i, nil
}

// launchDoing launches a worker and returns when Main has begun, with the folder of its task.
func (l *lab) launchDoing(ctx context.Context, launcher *plugins.Launcher, limits skalds.Limits, do string) (*plugins.Instance, string, error) {
	dir, err := l.room()
	if err != nil {
		return nil, "", err
	}
	i, err := l.launch(ctx, launcher, limits)
	if err != nil {
		return nil, "", err
	}
	failed := make(chan error, 1)
	go func() {
		_, err := runTask(ctx, i.Worker(), do, dir) // it ends with the worker
		failed <- err
	}()
	err = until(ctx, "Main begins", func() (bool, error) {
		select {
		case err := <-failed:
			return false, fmt.Errorf("the worker ended at once: %w", err)
		default:
		}
		all, err := beginnings(dir)
		return len(all) > 0, err
	})
	if err != nil {
		leave(i)
		return nil, "", err
	}
	return i, dir, nil
}

// firstCall is an RPC that does nothing.
func firstCall(ctx context.Context, w protocol.Worker) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := w.Configure(ctx, 0, 0); err != nil {
		return fmt.Errorf("first call: %w", err)
	}
	return nil
}

func leave(i *plugins.Instance) {
	i.Leave()
	<-i.Done()
}

// runTask runs a task in a worker until it has ended.
func runTask(ctx context.Context, w protocol.Worker, do, dir string) (*protocol.Finished, error) {
	var last *protocol.Finished
	err := w.Run(ctx, protocol.RunRequest{
		TaskID: "bench", ClassName: workerClass, Epoch: 1, Attempt: 1, Attachments: []byte(`{"do":"` + do + `"}`), DataDir: dir,
	}, func(e protocol.RunEvent) {
		if e.Kind == protocol.EventFinished {
			last = &e.Finished
		}
	})
	return last, err
}

// beginning is what a worker noted when Main began.
type beginning struct {
	at  time.Time
	pid int
}

// beginnings reads what the attempts of a task noted in its folder; a line that is being written is left out.
func beginnings(dir string) (out []beginning, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "began"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		ns, pid, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || !strings.HasSuffix(line, "\n") {
			continue
		}
		at, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read what %s noted: %w", dir, err)
		}
		p, err := strconv.Atoi(pid)
		if err != nil {
			return nil, fmt.Errorf("read what %s noted: %w", dir, err)
		}
		out = append(out, beginning{time.Unix(0, at), p})
	}
	return out, nil
}

// noServices are a host's services to a worker that asks for none: having them costs a socket and a server.
type noServices struct{ protocol.HostServices }
