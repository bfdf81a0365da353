package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) taskAttempts() *cobra.Command {
	return &cobra.Command{
		Use: "attempts ID", Short: "Show every run of a task and how it ended; -o wide adds stack and last log lines",
		Args: oneID("task"), ValidArgsFunction: c.completeTask,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return c.with(cmd, func(cl *client.Client) error {
				items, err := cl.Attempts(cmd.Context(), ids[0])
				if err != nil {
					return err
				}
				a := answer{document: api.AttemptList{Items: nonNil(items)}, table: func(wide bool) { c.attemptTable(items, wide) }}
				for _, i := range items {
					a.names = append(a.names, attemptName(i))
				}
				return c.print(cmd, a)
			})
		},
	}
}

// attemptName is epoch and number: "3.1".
func attemptName(a skalds.Attempt) string { return fmt.Sprintf("%d.%d", a.Epoch, a.Attempt) }

func (c *commands) attemptTable(items []skalds.Attempt, wide bool) {
	if len(items) == 0 {
		fmt.Fprintln(c.Err, "no attempts yet")
		return
	}
	if wide {
		for i, a := range items {
			if i > 0 {
				fmt.Fprintln(c.Out)
			}
			c.attemptDetail(a)
		}
		return
	}
	tab := newTable(c.Out, "ATTEMPT", "NODE", "WORKER", "STARTED", "TIME", "PEAK CPU", "PEAK MEMORY", "EXIT")
	for _, a := range items {
		row := []string{attemptName(a), a.Node, a.Version, c.clockText(a.StartedAt), c.attemptTime(a), "", "", attemptEnd(a)}
		if a.EndedAt > 0 { // its peaks come with its end
			row[5], row[6] = coresText(a.Peak.CPUCores), sizeText(a.Peak.MemoryBytes)
		}
		tab.row(row...)
	}
	tab.flush()
}

func (c *commands) attemptDetail(a skalds.Attempt) {
	tab := newTable(c.Out)
	tab.fact("Attempt", attemptName(a))
	tab.fact("Node", a.Node)
	tab.fact("Worker", a.Version)
	tab.fact("Digest", a.Digest)
	if a.PID > 0 {
		tab.fact("Process", fmt.Sprintf("pid %d", a.PID))
	}
	tab.fact("Started", c.clockText(a.StartedAt))
	tab.fact("Time", c.attemptTime(a))
	if a.EndedAt > 0 {
		tab.fact("CPU", fmt.Sprintf("%s (peak %s)", coreCount(a.LastUsage.CPUCores), coresText(a.Peak.CPUCores)))
		tab.fact("Memory", fmt.Sprintf("%s (peak %s)", sizeText(a.LastUsage.MemoryBytes), sizeText(a.Peak.MemoryBytes)))
	}
	tab.fact("Exit", attemptEnd(a))
	tab.flush()
	if a.Exit != nil && a.Exit.Stack != "" {
		fmt.Fprintln(c.Out, "Stack")
		c.indented(a.Exit.Stack)
	}
	if a.LogTail != "" {
		tail, left := lastLines(a.LogTail, attemptLines)
		fmt.Fprintln(c.Out, "Last log lines")
		if left > 0 {
			fmt.Fprintf(c.Out, "  … %s before these: skalds task logs %s, or -o json\n", plural(left, "line"), clean(a.TaskID))
		}
		c.indented(tail)
	}
}

// attemptLines is how much of its log is shown with an attempt.
const attemptLines = 10

// lastLines are the last n lines of a text, and how many come before.
func lastLines(text string, n int) (tail string, left int) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	left = max(len(lines)-n, 0)
	return strings.Join(lines[left:], "\n"), left
}

func (c *commands) attemptTime(a skalds.Attempt) string {
	end := a.EndedAt
	if end == 0 {
		end = c.Now().UnixMilli()
	}
	if a.StartedAt == 0 || end < a.StartedAt {
		return ""
	}
	return spanText(time.Duration(end-a.StartedAt) * time.Millisecond)
}

func attemptEnd(a skalds.Attempt) string {
	if a.Exit == nil && a.EndedAt == 0 {
		return "runs"
	}
	s := exitText(a.Exit)
	if curve := curveText(a.Usage); curve != "" {
		s += "; " + curve
	}
	return s
}
