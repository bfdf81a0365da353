package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) workerGet() *cobra.Command {
	return &cobra.Command{
		Use: "get NAME[@VERSION]", Short: "Show a worker, and what its tasks were measured to take; -o json has the schemas", Args: oneID("worker"),
		RunE: func(cmd *cobra.Command, refs []string) error {
			return c.with(cmd, func(cl *client.Client) error {
				l, err := cl.Workers(cmd.Context())
				if err != nil {
					return err
				}
				found := api.WorkerList{Items: []controller.WorkerOnNodes{}, Problems: []api.ProblemOnNode{}}
				a := answer{}
				for _, w := range l.Items {
					if w.Name == refs[0] || w.Ref() == refs[0] {
						found.Items = append(found.Items, w)
						a.names = append(a.names, w.Ref())
					}
				}
				if len(found.Items) == 0 {
					return skalds.Errorf(skalds.CodeNotFound, "no node has a worker %q: `skalds worker list` shows those there are", refs[0])
				}
				a.document, a.table = found, func(bool) { c.workerDetails(found.Items) }
				return c.print(cmd, a)
			})
		},
	}
}

func (c *commands) workerDetails(items []controller.WorkerOnNodes) {
	for i := range items {
		w := &items[i]
		if i > 0 {
			fmt.Fprintln(c.Out)
		}
		tab := newTable(c.Out)
		tab.fact("Worker", w.Ref())
		tab.fact("Digest", w.Digest)
		tab.fact("Nodes", strings.Join(w.Nodes, ", "))
		tab.fact("Conflict", w.Conflict)
		for n := range w.Classes {
			class := &w.Classes[n]
			tab.fact("Class", strings.TrimSpace(class.ClassName+"  "+class.Description))
			tab.fact("  Abilities", strings.Join(class.Capabilities, " "))
			for _, l := range w.Learned {
				if l.ClassName == class.ClassName {
					tab.fact("  Takes", takesText(l))
					tab.fact("  At its start", measuredText(l.Start))
					tab.fact("  Peak of late", measuredText(l.Peak))
				}
			}
		}
		tab.flush()
	}
}

// takesText is what a task usually takes: "0.25 cores, 64 MiB (learned from 12 runs)".
func takesText(l controller.Learned) string {
	return fmt.Sprintf("%s (learned from %s)", measuredText(l.Usual), plural(l.Runs, "run"))
}

func measuredText(u skalds.Usage) string {
	if u == (skalds.Usage{}) {
		return ""
	}
	return coreCount(u.CPUCores) + ", " + sizeText(u.MemoryBytes)
}
