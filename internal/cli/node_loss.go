package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) nodeDeclareLost() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "declare-lost ID",
		Short: "Take the tasks of a silent node back before its lease is over",
		Long: `Take the tasks of a silent node back at once, before its lease is over or while controllers cannot read heartbeats. A node that is
heard is refused: drain it, or stop its host. Where the machine is only cut off, its host may run what has moved until its own lease
ends; nothing that it reports of that is accepted. Say --machine-off only where nothing can run there any more: then tasks move too
that are to stay with a silent node (onDisconnect: keep). Tasks of its own workers file stay in any case.`,
		Args: oneID("node"), ValidArgsFunction: c.completeNode,
	}
	off := cmd.Flags().Bool("machine-off", false, "the machine is off or destroyed: tasks that are to stay with it move too")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		return c.with(cmd, func(cl *client.Client) error {
			l, err := cl.DeclareLost(cmd.Context(), ids[0], *off)
			if err != nil {
				return err
			}
			if left := time.UnixMilli(l.MayRunUntil).Sub(c.Now()); l.MayRunUntil > 0 && left > 0 {
				fmt.Fprintf(c.Err, "for another %s its host may run what has moved, if the machine is only cut off\n", spanText(left))
			}
			return c.print(cmd, answer{document: l, names: []string{l.Node.ID}, table: func(bool) { c.lossText(l) }})
		})
	}
	return cmd
}

func (c *commands) lossText(l api.NodeLoss) {
	fmt.Fprintf(c.Out, "node %s is lost, %s taken back\n", clean(l.Node.ID), plural(len(l.Moved), "task"))
	if len(l.Kept) > 0 {
		fmt.Fprintf(c.Out, "%s stay with it: %s\n", plural(len(l.Kept), "task"), clean(strings.Join(l.Kept, ", ")))
	}
}
