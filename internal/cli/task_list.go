package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

// maxPage is the largest page that a controller gives.
const maxPage = 500

func (c *commands) taskList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Aliases: []string{"ls"}, Short: "List tasks, newest first", Args: NoArgs}
	f := cmd.Flags()
	states := f.StringSlice("state", nil, "only in these states, with commas: "+stateNames())
	class := f.String("class", "", "only of this class")
	node := f.String("node", "", "only on this node")
	labels := f.StringArray("label", nil, "only with this label, key=value; may be repeated")
	idPart := f.String("id-contains", "", "only with this in their id, whatever the case")
	limit := f.Int("limit", 50, "at most so many")
	all := f.Bool("all", false, "all of them")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l := client.ListTasks{ClassName: *class, Executor: *node, IDContains: *idPart}
		for _, s := range *states {
			state, err := stateOf(s)
			if err != nil {
				return usage(cmd, fmt.Errorf("--state: %w", err))
			}
			if state != "" {
				l.States = append(l.States, state)
			}
		}
		var err error
		if l.Labels, err = pairs("label", *labels); err != nil {
			return usage(cmd, err)
		}
		if *limit < 1 {
			return usage(cmd, errors.New("--limit must be 1 or more; --all lists all"))
		}
		if *all && f.Changed("limit") {
			return usage(cmd, errors.New("--limit and --all exclude each other: leave out one of both"))
		}
		if *all {
			*limit = 0
		}
		return c.with(cmd, func(cl *client.Client) error {
			got, err := readTasks(cmd.Context(), cl, l, *limit)
			if err != nil {
				return err
			}
			if err := c.print(cmd, c.taskTable(got)); err != nil {
				return err
			}
			if rest := got.Total - len(got.Items); rest > 0 && formOf(cmd) != jsonForm {
				fmt.Fprintf(c.Err, "%d of %s shown: --all shows all\n", len(got.Items), plural(got.Total, "task"))
			}
			return nil
		})
	}
	return cmd
}

// readTasks reads pages until there are limit tasks; 0: all.
func readTasks(ctx context.Context, cl *client.Client, l client.ListTasks, limit int) (api.TaskList, error) {
	var out api.TaskList
	for {
		l.PageSize = maxPage
		if limit > 0 {
			l.PageSize = min(maxPage, limit-len(out.Items))
		}
		page, err := cl.Tasks(ctx, l)
		if err != nil {
			return out, err
		}
		page.Items = append(out.Items, page.Items...)
		out = page
		out.Page, out.PageSize = 1, max(len(out.Items), l.PageSize)
		if page.Next == "" || limit > 0 && len(out.Items) >= limit {
			return out, nil
		}
		l.Cursor = page.Next
	}
}

func (c *commands) taskTable(l api.TaskList) answer {
	a := answer{document: l}
	for _, t := range l.Items {
		a.names = append(a.names, t.ID)
	}
	a.table = func(wide bool) {
		if len(l.Items) == 0 {
			fmt.Fprintln(c.Err, "no tasks")
			return
		}
		head := []string{"ID", "CLASS", "STATE", "NODE", "PROGRESS", "CPU", "MEMORY", "AGE"}
		said := !wide && slices.ContainsFunc(l.Items, func(t api.TaskResponse) bool { return !t.LifecycleStatus.Final() && remark(t) != "" })
		switch {
		case wide:
			head = append(head, "WORKER", "PRIORITY", "RUN", "EPOCH", "ATTEMPT", "PID", "REMARK")
		case said:
			head = append(head, "REMARK")
		}
		tab := newTable(c.Out, head...)
		for _, t := range l.Items {
			row := []string{t.ID, t.ClassName, stateText(t), text(t.Executor), progressText(t.Progress), "", "", c.ageText(t.CreateDateTime)}
			if t.Usage != nil {
				row[5], row[6] = coresText(t.Usage.CPUCores), sizeText(t.Usage.MemoryBytes)
			}
			if said {
				row = append(row, shortened(remark(t), maxRemark))
			}
			if wide {
				pid := ""
				if t.Instance != nil {
					pid = fmt.Sprint(t.Instance.PID)
				}
				row = append(row, t.Version, fmt.Sprint(t.Priority), fmt.Sprint(t.Run), fmt.Sprint(t.Epoch), fmt.Sprint(t.Attempt), pid, remark(t))
			}
			tab.row(row...)
		}
		tab.flush()
	}
	return a
}

// maxRemark is how much of a remark a table has that is not wide, in characters.
const maxRemark = 60

// shortened is a text in one line and at most n characters.
func shortened(text string, n int) string {
	text, _, cut := strings.Cut(text, "\n")
	if r := []rune(text); len(r) > n {
		text, cut = string(r[:n-1]), true
	}
	if cut {
		text += "…"
	}
	return text
}

// notBegun reports whether a task is with a node that could not even launch it: its state is Running all the same.
func notBegun(t api.TaskResponse) bool {
	return t.LifecycleStatus == skalds.Running && t.Phase == skalds.PhaseBackoff && t.Attempt == 0 && t.BudgetUsed == 0
}

// stateText is the state, and what else must be known of it.
func stateText(t api.TaskResponse) string {
	var more []string
	if notBegun(t) {
		more = append(more, "not begun")
	} else if t.Phase != skalds.PhaseNone {
		more = append(more, string(t.Phase))
	}
	if t.Quarantined != "" {
		more = append(more, "quarantined")
	}
	if len(more) == 0 {
		return string(t.LifecycleStatus)
	}
	return fmt.Sprintf("%s (%s)", t.LifecycleStatus, strings.Join(more, ", "))
}

// remark is the one thing that a reader of a list wants to know of a task that does not simply run.
func remark(t api.TaskResponse) string {
	switch {
	case t.Quarantined != "":
		return t.Quarantined
	case t.Waiting != "" && !t.LifecycleStatus.Final():
		return t.Waiting
	case t.LifecycleStatus == skalds.Finished:
		return ""
	case t.Exception != nil:
		return *t.Exception
	}
	return text(t.Error)
}
