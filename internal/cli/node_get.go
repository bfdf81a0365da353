package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) nodeGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Aliases: []string{"show"}, Short: "Show all about one node", Args: oneID("node"), ValidArgsFunction: c.completeNode,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return c.with(cmd, func(cl *client.Client) error {
				n, err := cl.Node(cmd.Context(), ids[0])
				if err != nil {
					return err
				}
				return c.print(cmd, answer{document: n, names: []string{n.ID}, table: func(bool) { c.nodeDetail(n) }})
			})
		},
	}
}

func (c *commands) nodeDetail(n api.NodeResponse) {
	tab := newTable(c.Out)
	tab.fact("Node", n.ID)
	tab.fact("Mode", string(n.Type))
	tab.fact("Status", nodeStatusText(n))
	if d := n.Drain; d != nil {
		tab.fact("Drain", c.drainText(*d))
	}
	tab.fact("Seen", c.timeText(seenAt(n)))
	tab.fact("Lost", c.timeText(n.LostAt))
	tab.fact("Machine", n.Hostname)
	if n.PID > 0 {
		tab.fact("Process", fmt.Sprintf("pid %d, incarnation %d", n.PID, n.Incarnation))
	}
	tab.fact("Skalds", n.Program)
	if n.Capacity != nil && n.Used != nil && n.Reserved != nil {
		tab.fact("CPU", fmt.Sprintf("%s used of %s, %s reserved", coreCount(n.Used.CPUCores), coresText(n.Capacity.CPUCores), coresText(n.Reserved.CPUCores)))
		tab.fact("Memory", fmt.Sprintf("%s used of %s, %s reserved", sizeText(n.Used.MemoryBytes), sizeText(n.Capacity.MemoryBytes), sizeText(n.Reserved.MemoryBytes)))
	}
	if n.Foreign != nil {
		tab.fact("Not ours", fmt.Sprintf("%s, %s", coreCount(n.Foreign.CPUCores), sizeText(n.Foreign.MemoryBytes)))
	}
	if e := n.Enforcement; e != nil {
		for _, l := range limitsHeld(*e) {
			tab.fact(l.name+" limits", l.text)
		}
	}
	can, cannot := abilities(n.Isolation)
	tab.fact("Isolation", joined(can))
	if n.Capacity != nil && n.Isolation == nil {
		tab.fact("Isolation", "not known to its host, which is older")
	}
	tab.fact("Labels", pairsText(n.Labels))
	if len(n.Given) > 0 {
		tab.fact("Given", pairsText(n.Given))
		tab.fact("Announced", pairsText(n.Announced))
	}
	tab.fact("Workers", strings.Join(n.Workers, ", "))
	tab.fact("Classes", strings.Join(n.SupportedTasks, ", "))
	tab.fact("Tasks", fmt.Sprint(n.TaskCount))
	tab.flush()
	if len(cannot) > 0 {
		fmt.Fprintln(c.Out, "\nCannot isolate by")
		for _, reason := range cannot {
			fmt.Fprintf(c.Out, "  %s\n", clean(reason))
		}
	}
	if len(n.Problems) > 0 {
		fmt.Fprintln(c.Out, "\nCannot be used")
		for _, p := range n.Problems {
			fmt.Fprintf(c.Out, "  %s: %s\n", clean(p.Path), clean(p.Reason))
		}
	}
	if d := n.Drain; d != nil && len(d.NoRoom) > 0 {
		fmt.Fprintln(c.Out, "\nFind no room elsewhere")
		c.noRoomText(c.Out, d.NoRoom)
	}
	if len(n.Instances) == 0 {
		return
	}
	fmt.Fprintln(c.Out)
	tab = newTable(c.Out, "PID", "TASK", "CLASS", "WORKER", "STATE", "CPU", "MEMORY", "PEAK MEMORY", "PROGRESS", "AGE")
	for _, i := range n.Instances {
		pid, state := "", string(i.State)
		if i.PID > 0 {
			pid = fmt.Sprint(i.PID)
		}
		if i.Phase != skalds.PhaseNone {
			state += " (" + string(i.Phase) + ")"
		}
		tab.row(pid, i.TaskID, i.ClassName, i.Worker, state, coresText(i.Usage.CPUCores), sizeText(i.Usage.MemoryBytes),
			sizeText(i.Peak.MemoryBytes), progressText(i.Progress), c.ageText(i.StartedAt))
	}
	tab.flush()
}

// drainText is "12 tasks left, 3 moving, until 2026-03-01 12:00:00".
func (c *commands) drainText(d api.NodeDrain) string {
	text := plural(d.Left, "task") + " left"
	if d.Left > 0 {
		text += fmt.Sprintf(", %d moving", d.Moving)
	}
	if d.DeadlineAt > 0 {
		text += ", until " + c.timeText(d.DeadlineAt)
	}
	if d.Stay > 0 {
		text += fmt.Sprintf("; %d of its own workers file", d.Stay)
	}
	return text
}
