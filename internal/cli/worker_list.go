package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) workerList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List workers, their classes and the nodes that have them; -o json has the schemas", Args: NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd, func(cl *client.Client) error {
				l, err := cl.Workers(cmd.Context())
				if err != nil {
					return err
				}
				a := answer{document: l, table: func(wide bool) { c.workerTable(l.Items, wide); c.problemLines(l.Problems) }}
				for i := range l.Items {
					a.names = append(a.names, l.Items[i].Ref())
				}
				return c.print(cmd, a)
			})
		},
	}
}

// problemLines says why something that lies on a node is not in the table.
func (c *commands) problemLines(problems []api.ProblemOnNode) {
	if len(problems) > 0 {
		fmt.Fprintln(c.Out, "\nCannot be used")
	}
	for _, p := range problems {
		fmt.Fprintf(c.Out, "  on %s: %s: %s\n", clean(p.Node), clean(p.Path), clean(p.Reason))
	}
}

func (c *commands) workerTable(items []controller.WorkerOnNodes, wide bool) {
	if len(items) == 0 {
		fmt.Fprintln(c.Err, "no workers: put executables into the plugins folder of a host, or make one with `skalds worker new DIR`")
		return
	}
	head := []string{"NAME", "VERSION", "CLASSES", "TAKES", "DIGEST", "NODES", "CONFLICT"}
	if wide {
		head = append(head, "PROTOCOL", "ABILITIES")
	}
	tab := newTable(c.Out, head...)
	for _, w := range items {
		var classes, abilities []string
		for _, class := range w.Classes {
			classes = append(classes, class.ClassName)
			if len(class.Capabilities) > 0 {
				abilities = append(abilities, class.ClassName+": "+strings.Join(class.Capabilities, " "))
			}
		}
		var takes []string
		for _, l := range w.Learned {
			text := takesText(l)
			if len(w.Classes) > 1 {
				text = l.ClassName + ": " + text
			}
			takes = append(takes, text)
		}
		digest := w.Digest
		if !wide {
			digest = shortDigest(digest)
		}
		row := []string{w.Name, w.Version, strings.Join(classes, ", "), strings.Join(takes, "; "), digest, strings.Join(w.Nodes, ", "), w.Conflict}
		if wide {
			row = append(row, fmt.Sprint(w.Protocol), strings.Join(abilities, ", "))
		}
		tab.row(row...)
	}
	tab.flush()
}

// shortDigest is enough of a digest to tell two apart.
func shortDigest(d string) string {
	d = strings.TrimPrefix(d, "sha256:")
	return d[:min(len(d), 12)]
}
