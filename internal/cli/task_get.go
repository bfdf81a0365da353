package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) taskGet() *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Aliases: []string{"show"}, Short: "Show all about one task", Args: oneID("task"), ValidArgsFunction: c.completeTask,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return c.with(cmd, func(cl *client.Client) error {
				t, err := cl.Task(cmd.Context(), ids[0])
				if err != nil {
					return err
				}
				return c.print(cmd, answer{document: t, names: []string{t.ID}, table: func(bool) { c.taskDetail(t) }})
			})
		},
	}
}

func (c *commands) taskDetail(t api.TaskResponse) {
	tab := newTable(c.Out)
	tab.fact("Task", t.ID)
	if t.Name != t.ID {
		tab.fact("Name", t.Name)
	}
	tab.fact("Description", t.Description)
	tab.fact("Class", t.ClassName)
	tab.fact("State", stateText(t))
	if t.Phase == skalds.PhaseBackoff && t.NextAttemptAt > 0 {
		in := max(time.UnixMilli(t.NextAttemptAt).Sub(c.Now()), 0)
		tab.fact("Next attempt", "in "+spanText(in))
	}
	tab.fact("Quarantined", t.Quarantined)
	if !t.LifecycleStatus.Final() {
		tab.fact("Waiting", t.Waiting)
	}
	tab.fact("Node", text(t.Executor))
	tab.fact("Worker", t.Version)
	tab.fact("Asked version", t.RequestedVersion)
	tab.fact("Attempt", attemptText(t))
	tab.fact("Failures", budgetText(t))
	tab.fact("Ends for memory", memoryBudgetText(t))
	tab.fact("Progress", progressText(t.Progress))
	if t.Instance != nil {
		tab.fact("Process", fmt.Sprintf("pid %d, for %s", t.Instance.PID, c.ageText(t.Instance.StartedAt)))
	}
	if t.Usage != nil {
		tab.fact("CPU", usageText(coreCount(t.Usage.CPUCores), coresText(t.Limits.CPUCores), coresText(peak(t).CPUCores)))
		tab.fact("Memory", usageText(sizeText(t.Usage.MemoryBytes), sizeText(max(t.Limits.MemoryBytes, t.MemoryLimit)), sizeText(peak(t).MemoryBytes)))
	}
	tab.fact("Reserved", resourcesText(t.Resources))
	tab.fact("Limits", limitsText(t.Limits))
	tab.fact("Time-outs", timeoutsText(t.Timeouts))
	tab.fact("Isolation", isolationText(t.Isolation))
	tab.fact("Last exit", exitText(t.LastExit))
	tab.fact("Last error", text(t.Error))
	if t.LastExit == nil {
		tab.fact("Ended by", text(t.Exception))
	}
	if t.Priority != 0 {
		tab.fact("Priority", fmt.Sprint(t.Priority))
	}
	tab.fact("Labels", pairsText(t.Labels))
	tab.fact("Constraints", strings.Join(t.Constraints, ", "))
	tab.fact("Created", c.timeText(t.CreateDateTime))
	tab.fact("Started", c.timeText(t.StartedAt))
	tab.fact("Ended", c.timeText(t.EndedAt))
	tab.fact("Revision", fmt.Sprint(t.Revision))
	tab.flush()
	c.part("Attachments", t.Attachments)
	c.part("Result", t.Result)
	if t.LastExit != nil && t.LastExit.Stack != "" {
		fmt.Fprintln(c.Out, "Stack")
		c.indented(t.LastExit.Stack)
	}
}

// part prints a document below its name.
func (c *commands) part(name string, doc json.RawMessage) {
	if len(doc) == 0 || string(doc) == "null" {
		return
	}
	var b bytes.Buffer
	if json.Indent(&b, doc, "  ", "  ") != nil {
		b.Reset()
		b.WriteString(clean(string(doc)))
	}
	fmt.Fprintf(c.Out, "%s\n  %s\n", name, b.String())
}

// indented prints lines that somebody else wrote.
func (c *commands) indented(lines string) {
	for line := range strings.Lines(strings.TrimRight(lines, "\n")) {
		fmt.Fprintf(c.Out, "  %s\n", cleanLine(line))
	}
}

func peak(t api.TaskResponse) skalds.Usage {
	if t.Peak != nil {
		return t.Peak.Max(*t.Usage)
	}
	return *t.Usage
}

// usageText is "0.25 cores of 0.5 (peak 0.4)".
func usageText(used, limit, peak string) string {
	s := used
	if limit != "0" && limit != "0 B" {
		s += " of " + limit
	}
	return fmt.Sprintf("%s (peak %s)", s, peak)
}

func attemptText(t api.TaskResponse) string {
	if t.Epoch == 0 {
		return ""
	}
	s := fmt.Sprintf("%d of epoch %d", t.Attempt, t.Epoch)
	if t.Run > 0 {
		s += fmt.Sprintf(", %s by hand", plural(t.Run, "retry"))
	}
	return s
}

func budgetText(t api.TaskResponse) string {
	switch {
	case t.Retry.MaxAttempts > 0:
		return fmt.Sprintf("%d of %d attempts", t.BudgetUsed, t.Retry.MaxAttempts)
	case t.BudgetUsed > 0:
		return fmt.Sprintf("%d, tried again without limit", t.BudgetUsed)
	}
	return ""
}

// memoryBudgetText is "1 of 3 attempts, the memory limit is raised to 256 MiB".
func memoryBudgetText(t api.TaskResponse) string {
	o := t.Retry.OOM
	if o == nil {
		return ""
	}
	s := fmt.Sprintf("%d of %d attempts", t.MemoryFailures, o.MaxAttempts)
	if o.MaxAttempts <= 0 {
		s = fmt.Sprintf("%d, tried again without limit", t.MemoryFailures)
	}
	if t.MemoryLimit > 0 {
		s += ", the memory limit is raised to " + sizeText(t.MemoryLimit)
	}
	return s
}

func resourcesText(r skalds.Resources) string {
	var parts []string
	if r.CPUCores > 0 {
		parts = append(parts, coreCount(r.CPUCores))
	}
	if r.MemoryBytes > 0 {
		parts = append(parts, sizeText(r.MemoryBytes))
	}
	return strings.Join(parts, ", ")
}

func limitsText(l skalds.Limits) string {
	var parts []string
	if s := resourcesText(skalds.Resources{CPUCores: l.CPUCores, MemoryBytes: l.MemoryBytes}); s != "" {
		parts = append(parts, s)
	}
	if l.PIDs > 0 {
		parts = append(parts, fmt.Sprintf("%d processes and threads", l.PIDs))
	}
	if l.IOWeight > 0 {
		parts = append(parts, fmt.Sprintf("IO weight %d", l.IOWeight))
	}
	return strings.Join(parts, ", ")
}

func timeoutsText(t skalds.Timeouts) string {
	var parts []string
	for _, f := range []struct {
		name string
		d    skalds.Duration
	}{{"queue", t.Queue}, {"start", t.Start}, {"run", t.Run}, {"stall", t.Stall}} {
		if f.d > 0 {
			parts = append(parts, f.name+" "+f.d.String())
		}
	}
	return strings.Join(parts, ", ")
}
