package cli

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) taskUsage() *cobra.Command {
	cmd := &cobra.Command{Use: "usage ID", Short: "Show what a task took in the last minutes", Args: oneID("task"), ValidArgsFunction: c.completeTask}
	tail := cmd.Flags().Int("tail", 20, "how many of the last samples; json has all")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if *tail < 1 {
			return usage(cmd, errors.New("--tail must be 1 or more"))
		}
		return c.with(cmd, func(cl *client.Client) error {
			u, err := cl.Usage(cmd.Context(), ids[0])
			if err != nil {
				return err
			}
			return c.print(cmd, answer{document: u, names: []string{u.TaskID}, table: func(bool) { c.usageTable(u, *tail) }})
		})
	}
	return cmd
}

func (c *commands) usageTable(u api.UsageHistory, tail int) {
	if s := limitsText(u.Limits); s != "" {
		fmt.Fprintf(c.Out, "Limits: %s\n", s)
	}
	if len(u.Items) == 0 {
		fmt.Fprintln(c.Err, "nothing was measured in the last minutes")
		return
	}
	tab := newTable(c.Out, "TIME", "CPU", "MEMORY", "PROGRESS")
	for _, s := range u.Items[max(len(u.Items)-tail, 0):] {
		done := ""
		if s.Progress > 0 {
			done = strconv.FormatFloat(s.Progress, 'f', 1, 64) + "%"
		}
		tab.row(time.UnixMilli(s.At).In(c.Now().Location()).Format(time.TimeOnly), coresText(s.Usage.CPUCores), sizeText(s.Usage.MemoryBytes), done)
	}
	tab.flush()
}
