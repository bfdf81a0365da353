package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

const (
	drainPoll   = 300 * time.Millisecond // the pause between two looks
	noRoomShown = 10                     // tasks without room that are named
)

func (c *commands) nodeDrain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drain ID…",
		Short: "Move the tasks of nodes away; none is cancelled",
		Long: `Move the tasks of nodes away, and give them no new ones until undrain. A task moves when another node has room for it; it leaves by
its stop ladder, and that costs it nothing. One that finds no room goes on where it is, and is named before the drain begins. After
--deadline the rest is taken back too and waits in the queue: --deadline 0s moves all at once. Tasks of a node's own workers file stay.`,
		Example: `  skalds node drain big-1 --wait && ssh big-1 sudo reboot
  skalds node drain big-1 --deadline 10m --wait --timeout 15m`,
		Args: someIDs("node"), ValidArgsFunction: c.completeNodes,
	}
	f := cmd.Flags()
	deadline := f.Duration("deadline", 0, "take back what finds no room elsewhere after this time; left out: never, 0s: at once")
	wait := f.Bool("wait", false, "return when the nodes are drained")
	timeout := f.Duration("timeout", 0, "with --wait: give up waiting after this time (0: never); the drain goes on")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		var within *time.Duration
		switch {
		case *deadline < 0:
			return usage(cmd, errors.New("--deadline must not be negative"))
		case *timeout < 0:
			return usage(cmd, errors.New("--timeout must not be negative"))
		case *timeout > 0 && !*wait:
			return usage(cmd, errors.New("--timeout belongs to --wait"))
		case f.Changed("deadline"):
			within = deadline
		}
		ctx := cmd.Context()
		if *timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, *timeout, errTimedOut)
			defer cancel()
		}
		began := map[string]bool{}
		begin := func(cl *client.Client, id string) (api.NodeResponse, error) {
			forecast, err := cl.DrainForecast(ctx, id)
			if err != nil {
				return api.NodeResponse{}, err
			}
			c.forecastText(cmd, id, forecast, within)
			return cl.Drain(ctx, id, within)
		}
		if *wait && len(ids) > 1 { // all begin before one is waited for
			err := c.with(cmd, func(cl *client.Client) error {
				for _, id := range ids {
					if _, err := begin(cl, id); err != nil {
						return err
					}
					began[id] = true
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return each(c, cmd, ids,
			func(cl *client.Client, id string) (n api.NodeResponse, err error) {
				if !began[id] {
					n, err = begin(cl, id)
				}
				if err == nil && *wait {
					n, err = drained(ctx, cl, id)
				}
				return n, err
			},
			func(n api.NodeResponse) string {
				switch d := n.Drain; {
				case d == nil:
					return fmt.Sprintf("node %s is not draining any more", n.ID)
				case d.Left > 0:
					return fmt.Sprintf("node %s is draining, %s left", n.ID, plural(d.Left, "task"))
				case d.Stay > 0:
					return fmt.Sprintf("node %s is drained, but for %s of its own workers file", n.ID, plural(d.Stay, "task"))
				}
				return fmt.Sprintf("node %s is drained", n.ID)
			})
	}
	return cmd
}

// drained waits until nothing is left on a node that is to leave it.
func drained(ctx context.Context, cl *client.Client, id string) (api.NodeResponse, error) {
	left := 0
	for {
		n, err := cl.Node(ctx, id)
		switch {
		case err == nil && n.Drain == nil:
			return n, skalds.Errorf(skalds.CodeConflict, "node %s is not draining any more: somebody has ended it", id)
		case err == nil && n.Drain.Left == 0:
			return n, nil
		case err == nil:
			left = n.Drain.Left
		case ctx.Err() == nil && !errors.Is(err, skalds.ErrUnavailable):
			return n, err
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errTimedOut) {
				return n, fmt.Errorf("%w: node %s is still draining, %s left: see `skalds node get %s`", errTimedOut, id, plural(left, "task"), id)
			}
			return n, context.Cause(ctx)
		case <-time.After(drainPoll):
		}
	}
}

// forecastText says before a drain what will become of the tasks of a node.
func (c *commands) forecastText(cmd *cobra.Command, id string, d api.NodeDrain, deadline *time.Duration) {
	if form := formOf(cmd); form == jsonForm || form == nameForm || d.Left+d.Stay == 0 {
		return
	}
	room := d.Moving
	if d.Room != nil {
		room += *d.Room
	}
	fmt.Fprintf(c.Err, "node %s: %s to move, %d with room elsewhere", clean(id), plural(d.Left, "task"), room)
	if d.Stay > 0 {
		fmt.Fprintf(c.Err, "; %s of its own workers file do not move", plural(d.Stay, "task"))
	}
	fmt.Fprintln(c.Err)
	if len(d.NoRoom) == 0 {
		return
	}
	until := "go on here until there is room"
	switch {
	case deadline == nil:
	case *deadline == 0:
		until = "will wait in the queue"
	default:
		until += fmt.Sprintf(", for %s at most", *deadline)
	}
	fmt.Fprintf(c.Err, "without room elsewhere, and %s:\n", until)
	c.noRoomText(c.Err, d.NoRoom)
}

func (c *commands) noRoomText(w io.Writer, list []api.NodeNoRoom) {
	for i, n := range list {
		if i == noRoomShown {
			fmt.Fprintf(w, "  and %d others\n", len(list)-i)
			return
		}
		fmt.Fprintf(w, "  %s (%s): %s\n", clean(n.TaskID), clean(n.ClassName), clean(n.Why))
	}
}
