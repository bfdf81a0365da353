package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) taskRecordings() *cobra.Command {
	return &cobra.Command{
		Use: "recordings ID", Short: "List the files that a task left behind", Args: oneID("task"), ValidArgsFunction: c.completeTask,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return c.with(cmd, func(cl *client.Client) error {
				items, err := cl.Recordings(cmd.Context(), ids[0])
				if err != nil {
					return err
				}
				a := answer{document: api.RecordingList{Items: nonNil(items)}, table: func(wide bool) { c.recordingTable(items, wide) }}
				for _, i := range items {
					a.names = append(a.names, i.Path)
				}
				return c.print(cmd, a)
			})
		},
	}
}

func (c *commands) recordingTable(items []skalds.Artifact, wide bool) {
	if len(items) == 0 {
		fmt.Fprintln(c.Err, "no recordings yet")
		return
	}
	head := []string{"PATH", "KIND", "NODE", "STARTED", "LENGTH", "SIZE", "END"}
	if wide {
		head = append(head, "EPOCH", "META")
	}
	tab := newTable(c.Out, head...)
	for _, a := range items {
		length, end := "", a.EndReason
		if a.Duration > 0 {
			length = spanText(time.Duration(a.Duration) * time.Millisecond)
		}
		if a.EndedAt == 0 && end == "" {
			end = "open"
		}
		row := []string{a.Path, a.Kind, a.Node, c.clockText(a.StartedAt), length, sizeText(a.Bytes), end}
		if wide {
			row = append(row, fmt.Sprint(a.Epoch), string(a.Meta))
		}
		tab.row(row...)
	}
	tab.flush()
}
