package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) controllers() *cobra.Command {
	cmd := &cobra.Command{Use: "controllers", Short: "List controllers, and which of them leads", Args: NoArgs}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return c.with(cmd, func(cl *client.Client) error {
			l, err := cl.Controllers(cmd.Context())
			if err != nil {
				return err
			}
			a := answer{document: l}
			for _, i := range l.Items {
				a.names = append(a.names, i.ID)
			}
			a.table = func(bool) {
				if len(l.Items) == 0 {
					fmt.Fprintln(c.Err, "no controllers are announced")
					return
				}
				tab := newTable(c.Out, "ID", "MODE", "LEADS", "ADDRESS", "VERSION", "SEEN")
				for _, i := range l.Items {
					leads := ""
					if i.Leader {
						leads = "yes"
					}
					tab.row(i.ID, i.Mode, leads, i.URL, i.Version, c.ageText(i.SeenAt))
				}
				tab.flush()
			}
			return c.print(cmd, a)
		})
	}
	return cmd
}
