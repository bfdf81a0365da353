package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

// waitAtOnce bounds the tasks that are waited for at the same time, each with a connection of its own.
const waitAtOnce = 32

func (c *commands) taskWait() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait ID…",
		Short: "Wait until tasks have ended, or have reached a state",
		Long: `Wait until tasks have ended. The exit code is 0 only when all have Finished.

With --for it is 0 when all have reached that state. A task that has Finished counts as having been Running.`,
		Args:              someIDs("task"),
		ValidArgsFunction: c.completeTasks,
	}
	timeout := cmd.Flags().Duration("timeout", 0, "give up after this time; the tasks go on")
	state := cmd.Flags().String("for", "", "wait for this state instead of the end: "+stateNames())
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		want, err := stateOf(*state)
		if err != nil {
			return usage(cmd, fmt.Errorf("--for: %w", err))
		}
		if *timeout < 0 {
			return usage(cmd, errors.New("--timeout must not be negative"))
		}
		return c.with(cmd, func(cl *client.Client) error {
			ctx := cmd.Context()
			if *timeout > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeoutCause(ctx, *timeout, errTimedOut)
				defer cancel()
			}
			return c.waitAll(ctx, cmd, cl, ids, want)
		})
	}
	return cmd
}

// waitAll waits for tasks side by side, and shows each as soon as it has got there.
func (c *commands) waitAll(ctx context.Context, cmd *cobra.Command, cl *client.Client, ids []string, want skalds.State) error {
	var mu sync.Mutex // guards what is printed
	tasks, errs := make([]*api.TaskResponse, len(ids)), make([]error, len(ids))
	free := make(chan struct{}, waitAtOnce)
	var wg sync.WaitGroup
	for i, id := range ids {
		free <- struct{}{}
		wg.Go(func() {
			defer func() { <-free }()
			t, err := c.waitOne(ctx, cl, id, want)
			errs[i] = err
			if t.ID == "" || err != nil && !t.LifecycleStatus.Final() {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			tasks[i] = &t
			switch formOf(cmd) {
			case jsonForm:
			case nameForm:
				fmt.Fprintln(c.Out, t.ID)
			default:
				c.reached(t)
			}
		})
	}
	wg.Wait()
	err := errors.Join(errs...)
	if formOf(cmd) != jsonForm {
		return err
	}
	if len(ids) == 1 {
		if tasks[0] == nil {
			return err
		}
		return errors.Join(err, printJSON(c.Out, tasks[0]))
	}
	out := list[api.TaskResponse]{Items: []api.TaskResponse{}}
	for _, t := range tasks {
		if t != nil {
			out.Items = append(out.Items, *t)
		}
	}
	return errors.Join(err, printJSON(c.Out, out))
}

// waitOne waits for a task; the error says why it did not get there. want is empty for its end.
func (c *commands) waitOne(ctx context.Context, cl *client.Client, id string, want skalds.State) (api.TaskResponse, error) {
	t, err := cl.WaitFor(ctx, id, func(t api.TaskResponse) bool {
		return t.LifecycleStatus.Final() || want != "" && t.LifecycleStatus == want
	})
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), errTimedOut):
		return t, &timeoutError{stillText(id, t)}
	case err != nil:
		return t, err
	case t.LifecycleStatus == want, t.LifecycleStatus == skalds.Finished && (want == "" || want == skalds.Running):
		return t, nil
	case want != "" && t.LifecycleStatus == skalds.Finished:
		return t, fmt.Errorf("task %s has Finished and was not seen %s", id, want)
	}
	return t, fmt.Errorf("task %s has %s%s", id, endedAs(t.LifecycleStatus), becauseOf(t))
}

// timeoutError says where a task was when the time was over.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string        { return e.text }
func (e *timeoutError) Is(target error) bool { return target == errTimedOut }

func stillText(id string, t api.TaskResponse) string {
	if t.ID == "" {
		return fmt.Sprintf("task %s could not be read in time", id)
	}
	s := fmt.Sprintf("the time is over and task %s is still %s", id, stateText(t))
	if t.Waiting != "" {
		s += ": " + t.Waiting
	}
	return s
}

func endedAs(s skalds.State) string {
	if s == skalds.Cancelled {
		return "been Cancelled"
	}
	return string(s)
}

func becauseOf(t api.TaskResponse) string {
	why := exitText(t.LastExit)
	if why == "" || t.LastExit.Kind == skalds.ExitCancelled {
		why = text(t.Exception)
	}
	if why == "" || t.LifecycleStatus == skalds.Cancelled {
		return ""
	}
	return fmt.Sprintf(": %s (`skalds task attempts %s` tells more)", why, t.ID)
}

// reached says in one line where a task has got to.
func (c *commands) reached(t api.TaskResponse) {
	line := fmt.Sprintf("task %s is %s", t.ID, stateText(t))
	if t.LifecycleStatus.Final() && t.StartedAt > 0 && t.EndedAt > t.StartedAt {
		line += " after " + spanText(time.Duration(t.EndedAt-t.StartedAt)*time.Millisecond)
	}
	fmt.Fprintln(c.Out, clean(line))
}

func stateNames() string {
	var names []string
	for _, s := range skalds.States() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// stateOf reads a state, whatever its case.
func stateOf(s string) (skalds.State, error) {
	if s == "" {
		return "", nil
	}
	for _, state := range skalds.States() {
		if strings.EqualFold(s, string(state)) {
			return state, nil
		}
	}
	return "", fmt.Errorf("%q is none of %s", s, stateNames())
}
