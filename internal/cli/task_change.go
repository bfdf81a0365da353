package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) taskCancel() *cobra.Command {
	return c.taskChange("cancel", "End tasks", "cancelled", (*client.Client).Cancel)
}

func (c *commands) taskPause() *cobra.Command {
	return c.taskChange("pause", "Freeze tasks; they keep their state and use no CPU", "to be paused", (*client.Client).Pause)
}

func (c *commands) taskResume() *cobra.Command {
	return c.taskChange("resume", "Let paused tasks go on", "to go on", (*client.Client).Resume)
}

func (c *commands) taskRetry() *cobra.Command {
	return c.taskChange("retry", "Run tasks again that have ended, or release them from quarantine", "to run again", (*client.Client).Retry)
}

func (c *commands) taskChange(verb, short, now string, do func(*client.Client, context.Context, string) (api.TaskResponse, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID…", Short: short, Args: someIDs("task"), ValidArgsFunction: c.completeTasks,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return each(c, cmd, ids,
				func(cl *client.Client, id string) (api.TaskResponse, error) { return do(cl, cmd.Context(), id) },
				func(t api.TaskResponse) string { return fmt.Sprintf("task %s %s", t.ID, now) })
		},
	}
}
