package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) taskWhy() *cobra.Command {
	return &cobra.Command{
		Use: "why ID", Short: "Explain why a task is where it is: every node's score or refusal", Args: oneID("task"), ValidArgsFunction: c.completeTask,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return c.with(cmd, func(cl *client.Client) error {
				e, err := cl.Why(cmd.Context(), ids[0])
				if err != nil {
					return err
				}
				return c.print(cmd, answer{document: e, names: []string{e.TaskID}, table: func(bool) { c.whyTable(e) }})
			})
		},
	}
}

func (c *commands) whyTable(e controller.Explanation) {
	fmt.Fprintf(c.Out, "task %s: %s\n", e.TaskID, clean(e.Summary))
	if needs := resourcesText(e.Needs); needs != "" {
		fmt.Fprintf(c.Out, "needs %s (%s)\n", needs, clean(e.NeedsFrom))
	}
	if len(e.Candidates) == 0 {
		fmt.Fprintln(c.Out, "there is no node")
		return
	}
	tab := newTable(c.Out, "NODE", "WORKER", "SCORE", "FREE CPU", "FREE MEMORY", "VERDICT")
	for _, n := range e.Candidates {
		score, verdict := strconv.FormatFloat(n.Score, 'f', 3, 64), "can run it"
		switch {
		case n.Refused != "" && n.Chosen:
			score, verdict = "", "runs it; would not get it now: "+n.Refused
		case n.Refused != "":
			score, verdict = "", n.Refused
		case n.Chosen:
			verdict = "runs it"
		}
		cpu, memory := "", ""
		if n.Free != (skalds.Resources{}) {
			cpu, memory = coresText(n.Free.CPUCores), sizeText(n.Free.MemoryBytes)
		}
		tab.row(n.NodeID, n.Worker, score, cpu, memory, verdict)
	}
	tab.flush()
}
