package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"golang.org/x/sync/errgroup"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// creators is how many clients create tasks at a time.
const creators = 8

// tasksPerSecond compares tasks created by REST and run to their end by a standalone with the bare go-plugin launcher in a
// loop that runs the same task in the same worker, as many in parallel as a host launches at once; turn by turn.
func tasksPerSecond(ctx context.Context, l *lab) (out []value, err error) {
	err = l.withStandalone(ctx, func(s *standalone) error {
		ours, bare, n, err := l.batches(ctx, &s.site)
		out = []value{{value: float64(bare) / float64(ours), reference: bare / time.Duration(max(n, 1)), n: n}}
		return err
	})
	return out, err
}

// batches measures how long n tasks take there and in the bare loop.
func (l *lab) batches(ctx context.Context, s *site) (ours, bare time.Duration, n int, err error) {
	rounds, batch := 5, l.times(100, 10)
	for round := range rounds {
		d, err := s.runBatch(ctx, round, batch)
		if err != nil {
			return 0, 0, 0, err
		}
		ours += d
		if d, err = l.bareBatch(ctx, batch); err != nil {
			return 0, 0, 0, err
		}
		bare += d
	}
	return ours, bare, rounds * batch, nil
}

// runBatch creates tasks and returns when all of this and earlier batches are Finished.
func (s *site) runBatch(ctx context.Context, round, n int) (time.Duration, error) {
	start := time.Now()
	var group errgroup.Group
	group.SetLimit(creators)
	for i := range n {
		group.Go(func() error { return s.create(ctx, fmt.Sprintf("batch-%d-%d", round, i), "finish") })
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	for {
		asked := time.Now()
		list, err := s.Tasks(ctx, client.ListTasks{PageSize: 1, States: []skalds.State{skalds.Finished}})
		if err != nil {
			return 0, err
		}
		if list.Total >= (round+1)*n {
			return time.Since(start), nil
		}
		if time.Since(start) > patience {
			return 0, fmt.Errorf("%d of %d tasks finished within %s", list.Total, (round+1)*n, patience)
		}
		// Counting costs those who count: a twentieth at most.
		if err := pause(ctx, max(50*time.Millisecond, 20*time.Since(asked))); err != nil {
			return 0, err
		}
	}
}

// bareBatch is the loop around the bare launcher.
func (l *lab) bareBatch(ctx context.Context, n int) (time.Duration, error) {
	dir, err := l.room()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	var group errgroup.Group
	group.SetLimit(2 * runtime.NumCPU())
	for i := range n {
		group.Go(func() error {
			data := filepath.Join(dir, fmt.Sprint(i))
			if err := os.Mkdir(data, 0o700); err != nil {
				return err
			}
			return l.bareTask(ctx, data)
		})
	}
	err = group.Wait()
	return time.Since(start), err
}

// bareTask is what go-plugin's documentation tells to do: start, dispense, call, kill.
func (l *lab) bareTask(ctx context.Context, dir string) error {
	const token = "bench"
	tokenFile := filepath.Join(dir, "token") // the worker will not start without
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(l.plugin.Path)
	cmd.Env = append(os.Environ(), protocol.EnvTokenFile+"="+tokenFile)
	c := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: protocol.Handshake(), Plugins: protocol.Plugins(nil, token), Cmd: cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, Logger: hclog.NewNullLogger(), Stderr: io.Discard,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
	})
	defer c.Kill()
	rpc, err := c.Client()
	if err != nil {
		return err
	}
	raw, err := rpc.Dispense(protocol.PluginName)
	if err != nil {
		return err
	}
	w, ok := raw.(protocol.Worker)
	if !ok {
		return fmt.Errorf("dispense: got a %T", raw)
	}
	f, err := runTask(ctx, w, "finish", dir)
	if err == nil && (f == nil || f.Kind != protocol.FinishedCompleted) {
		err = fmt.Errorf("the task did not complete: %+v", f)
	}
	return err
}
