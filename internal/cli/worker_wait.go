package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/client"
)

// workerPoll is the pause between two looks: a node tells of a new worker within a second.
const workerPoll = 200 * time.Millisecond

func (c *commands) workerWait() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait CLASS…",
		Short: "Wait until nodes offer classes, for example after a worker was installed",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(cmd, errors.New("name the classes to wait for"))
			}
			return nil
		},
	}
	timeout := cmd.Flags().Duration("timeout", time.Minute, "give up after this time")
	cmd.RunE = func(cmd *cobra.Command, classes []string) error {
		if *timeout <= 0 {
			return usage(cmd, errors.New("--timeout must be above zero"))
		}
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), *timeout, errTimedOut)
		defer cancel()
		return c.with(cmd, func(cl *client.Client) error {
			for {
				missing, err := missingClasses(ctx, cl, classes)
				switch {
				case err == nil && len(missing) == 0:
					return nil
				case err != nil && ctx.Err() == nil && !errors.Is(err, skalds.ErrUnavailable):
					return err
				}
				select {
				case <-ctx.Done():
					if errors.Is(context.Cause(ctx), errTimedOut) {
						return fmt.Errorf("%w: no node offers %v: see `skalds doctor`, and the log of the host that has the plugins folder", errTimedOut, missing)
					}
					return context.Cause(ctx)
				case <-time.After(workerPoll):
				}
			}
		})
	}
	return cmd
}

// missingClasses are those that no node offers.
func missingClasses(ctx context.Context, cl *client.Client, classes []string) ([]string, error) {
	l, err := cl.Workers(ctx)
	if err != nil {
		return classes, err
	}
	missing := slices.Clone(classes)
	for i := range l.Items {
		if len(l.Items[i].Nodes) > 0 {
			missing = slices.DeleteFunc(missing, func(name string) bool { return l.Items[i].Class(name) != nil })
		}
	}
	return missing, nil
}
