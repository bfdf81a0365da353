package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

func (c *commands) nodeLabel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "label ID LABEL…",
		Short: "Give a node labels, which constraints of tasks are matched against",
		Long: `Give a node labels: zone=a, or gpu for gpu=true; zone- takes the label zone away again. They are kept with the controller and
win over labels of the same name that the node's host announces. Tasks that run already stay where they are.`,
		Example: `  skalds node label big-1 zone=a gpu
  skalds node label big-1 zone-`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return missingID(cmd, "node")
			}
			return nil
		},
		ValidArgsFunction: c.completeNode,
	}
	replace := cmd.Flags().Bool("replace", false, "take away all labels that it was given before")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		labels, err := labelChanges(args[1:])
		if err == nil && len(labels) == 0 && !*replace {
			err = errors.New("say which labels: zone=a, gpu, or zone- to take one away")
		}
		if err != nil {
			return usage(cmd, err)
		}
		return each(c, cmd, args[:1],
			func(cl *client.Client, id string) (api.NodeResponse, error) {
				return cl.LabelNode(cmd.Context(), id, labels, *replace)
			},
			func(n api.NodeResponse) string {
				if len(n.Labels) == 0 {
					return fmt.Sprintf("node %s has no labels", n.ID)
				}
				return fmt.Sprintf("node %s has %s", n.ID, pairsText(n.Labels))
			})
	}
	return cmd
}

// labelChanges reads "zone=a", "gpu" and "zone-"; nil takes a label away. What a label may be is the controller's matter.
func labelChanges(args []string) (map[string]*string, error) {
	out := map[string]*string{}
	for _, arg := range args {
		key, value, has := strings.Cut(arg, "=")
		gone := false
		if !has {
			value = "true"
			key, gone = strings.CutSuffix(key, "-")
		}
		if key == "" {
			return nil, fmt.Errorf("%q is no label: write zone=a, gpu for gpu=true, or zone- to take it away", arg)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("the label %s is there twice", key)
		}
		if out[key] = &value; gone {
			out[key] = nil
		}
	}
	return out, nil
}
