package cli

import "github.com/spf13/cobra"

func (c *commands) worker() *cobra.Command {
	return group("worker", "Show the workers of all nodes, and start a new one", c.workerList(), c.workerGet(), c.workerWait(), c.workerNew())
}
