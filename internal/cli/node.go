package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) node() *cobra.Command {
	return group("node", "Watch nodes, and take them out of service",
		c.nodeList(), c.nodeGet(),
		c.nodeDrain(),
		c.nodeChange("undrain", "End draining nodes", "is no longer draining", (*client.Client).Undrain),
		c.nodeChange("cordon", "Give nodes no new task", "gets no new task", (*client.Client).Cordon),
		c.nodeChange("uncordon", "Give nodes new tasks again", "gets new tasks again", (*client.Client).Uncordon),
		c.nodeLabel(), c.nodeDeclareLost())
}

func (c *commands) nodeChange(verb, short, now string, do func(*client.Client, context.Context, string) (api.NodeResponse, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID…", Short: short, Args: someIDs("node"), ValidArgsFunction: c.completeNodes,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return each(c, cmd, ids,
				func(cl *client.Client, id string) (api.NodeResponse, error) { return do(cl, cmd.Context(), id) },
				func(n api.NodeResponse) string { return fmt.Sprintf("node %s %s", n.ID, now) })
		},
	}
}
