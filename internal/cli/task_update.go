package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

// updateTries is how often --set is merged anew while the task changes under it.
const updateTries = 8

func (c *commands) taskUpdate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change the attachments of a task, while it runs where its worker can",
		Long: `Change the attachments of a task. --attachments replaces them all, --set changes some of them and leaves the others.
Passwords in addresses are shown as ***, and keep their value where they come back so.`,
		Example: `  skalds task update front --set fixFrame=30
  skalds task update front --attachments @front.json`,
		Args: oneID("task"), ValidArgsFunction: c.completeTask,
	}
	f := cmd.Flags()
	attachments := f.String("attachments", "", "all parameters as JSON, @FILE, or - for standard input")
	set := f.StringArray("set", nil, "one parameter, key=value; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		var whole document
		var err error
		if f.Changed("attachments") {
			if whole, err = c.readDocument("attachments", *attachments); err != nil {
				return usage(cmd, err)
			}
		} else if len(*set) == 0 {
			return usage(cmd, errors.New("say what to change: --set key=value, or --attachments"))
		}
		if err := (document{}).set(*set); err != nil { // before anything is asked of a controller
			return usage(cmd, err)
		}
		return c.with(cmd, func(cl *client.Client) error {
			got, err := update(cmd.Context(), cl, ids[0], whole, *set)
			if err != nil {
				return err
			}
			return c.print(cmd, answer{document: got, names: []string{got.TaskID}, table: func(bool) {
				fmt.Fprintf(c.Out, "task %s has new attachments (revision %d)\n", got.TaskID, got.Revision)
				c.part("Attachments", got.Attachments)
			}})
		})
	}
	return cmd
}

// update replaces the attachments by whole, unless it is nil, and applies set. What is merged with the current ones is
// accepted only for the revision that they were read from, and merged again where that has changed.
func update(ctx context.Context, cl *client.Client, id string, whole document, set []string) (api.TaskAttachments, error) {
	if whole != nil {
		return putAttachments(ctx, cl, id, whole, set, 0)
	}
	for try := 1; ; try++ {
		t, err := cl.Task(ctx, id)
		if err != nil {
			return api.TaskAttachments{}, err
		}
		doc, err := parseDocument("the attachments of task "+id, t.Attachments)
		if err != nil {
			return api.TaskAttachments{}, err
		}
		got, err := putAttachments(ctx, cl, id, doc, set, t.Revision)
		if err == nil || !errors.Is(err, skalds.ErrConflict) || try == updateTries {
			return got, err
		}
		now, readErr := cl.Task(ctx, id)
		if readErr != nil || now.Revision == t.Revision {
			return got, err // refused for its state, not for the revision
		}
	}
}

func putAttachments(ctx context.Context, cl *client.Client, id string, doc document, set []string, revision int64) (api.TaskAttachments, error) {
	if err := doc.set(set); err != nil {
		return api.TaskAttachments{}, skalds.Errorf(skalds.CodeInvalid, "%v", err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return api.TaskAttachments{}, fmt.Errorf("write the attachments: %w", err)
	}
	return cl.UpdateAttachments(ctx, id, b, revision)
}
