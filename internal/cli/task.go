package cli

import (
	"github.com/spf13/cobra"
)

func (c *commands) task() *cobra.Command {
	return group("task", "Create tasks, watch them and change them",
		c.taskCreate(), c.taskGet(), c.taskList(), c.taskWait(), c.taskCancel(), c.taskPause(), c.taskResume(), c.taskRetry(),
		c.taskUpdate(), c.taskLogs(), c.taskAttempts(), c.taskUsage(), c.taskRecordings(), c.taskWhy())
}
