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
	cmd := &cobra.Command{Use: "usage ID", Short: "Show what a task took, up to its last measurement", Args: oneID("task"), ValidArgsFunction: c.completeTask}
	tail := cmd.Flags().Int("tail", 20, "how many of the last samples; json has all")
	last := cmd.Flags().Duration("last", time.Hour, "how far back: moments of two minutes, averages of 10s of an hour, of 1m of before")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		if *tail < 1 {
			return usage(cmd, errors.New("--tail must be 1 or more"))
		}
		if *last <= 0 {
			return usage(cmd, errors.New("--last must be above zero"))
		}
		return c.with(cmd, func(cl *client.Client) error {
			u, err := cl.Usage(cmd.Context(), ids[0], *last)
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
		fmt.Fprintln(c.Err, "nothing was measured")
		return
	}
	items := u.Items[max(len(u.Items)-tail, 0):]
	form := time.TimeOnly
	if items[0].At < c.Now().Add(-12*time.Hour).UnixMilli() {
		form = time.DateTime
	}
	tab := newTable(c.Out, "TIME", "SPAN", "CPU", "MEMORY", "PEAK CPU", "PEAK MEMORY", "PROGRESS")
	for _, s := range items {
		var span, peakCPU, peakMemory string
		if s.Span > 0 {
			span = spanText(time.Duration(s.Span) * time.Millisecond)
			peakCPU, peakMemory = coresText(s.Peak.CPUCores), sizeText(s.Peak.MemoryBytes)
		}
		done := ""
		if s.Progress > 0 {
			done = strconv.FormatFloat(s.Progress, 'f', 1, 64) + "%"
		}
		tab.row(time.UnixMilli(s.At).In(c.Now().Location()).Format(form), span, coresText(s.Usage.CPUCores), sizeText(s.Usage.MemoryBytes), peakCPU, peakMemory, done)
	}
	tab.flush()
}
