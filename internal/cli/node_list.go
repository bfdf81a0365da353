package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) nodeList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List nodes", Args: NoArgs}
	f := cmd.Flags()
	mode := f.String("mode", "", "only nodes of this mode: node, edge or single_process")
	status := f.String("status", "", "only online or offline nodes")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains([]string{"", "node", "edge", "single_process"}, *mode) {
			return usage(cmd, fmt.Errorf("--mode: %q is none of node, edge, single_process", *mode))
		}
		if !slices.Contains([]string{"", "online", "offline"}, *status) {
			return usage(cmd, fmt.Errorf("--status: %q is neither online nor offline", *status))
		}
		return c.with(cmd, func(cl *client.Client) error {
			l, err := cl.Nodes(cmd.Context(), *mode, *status)
			if err != nil {
				return err
			}
			a := answer{document: l, table: func(wide bool) { c.nodeTable(l.Items, wide) }}
			for _, n := range l.Items {
				a.names = append(a.names, n.ID)
			}
			return c.print(cmd, a)
		})
	}
	return cmd
}

func (c *commands) nodeTable(items []api.NodeResponse, wide bool) {
	if len(items) == 0 {
		fmt.Fprintln(c.Err, "no nodes")
		return
	}
	head := []string{"ID", "MODE", "STATUS", "TASKS", "CPU", "RESERVED CPU", "MEMORY", "RESERVED MEMORY", "SEEN"}
	if wide {
		head = append(head, "HOST", "PID", "SKALDS", "CLASSES", "LABELS")
	}
	tab := newTable(c.Out, head...)
	for _, n := range items {
		row := []string{n.ID, string(n.Type), nodeStatusText(n), strconv.Itoa(n.TaskCount), "", "", "", "", c.ageText(seenAt(n))}
		if n.Used != nil && n.Capacity != nil {
			row[4] = coresText(n.Used.CPUCores) + " of " + coresText(n.Capacity.CPUCores)
			row[6] = sizeText(n.Used.MemoryBytes) + " of " + sizeText(n.Capacity.MemoryBytes)
		}
		if n.Reserved != nil {
			row[5], row[7] = coresText(n.Reserved.CPUCores), sizeText(n.Reserved.MemoryBytes)
		}
		if wide {
			pid := ""
			if n.PID > 0 {
				pid = strconv.Itoa(n.PID)
			}
			row = append(row, n.Hostname, pid, n.Program, strings.Join(n.SupportedTasks, ", "), pairsText(n.Labels))
		}
		tab.row(row...)
	}
	tab.flush()
}

// nodeStatusText is "online (cordoned, draining)".
func nodeStatusText(n api.NodeResponse) string {
	var more []string
	if n.Cordoned {
		more = append(more, "cordoned")
	}
	if n.Draining {
		more = append(more, "draining")
	}
	if n.LostAt > 0 {
		more = append(more, "lost")
	}
	if len(more) == 0 {
		return n.Status
	}
	return n.Status + " (" + strings.Join(more, ", ") + ")"
}

// seenAt is when its last heartbeat came, ms since epoch; 0: never.
func seenAt(n api.NodeResponse) int64 {
	ms, err := strconv.ParseInt(n.LastHeartbeat, 10, 64)
	if err != nil {
		return 0
	}
	return ms
}
