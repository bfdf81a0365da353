package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/internal/client"
)

// taskLog is the document of `task logs`.
type taskLog struct {
	TaskID string   `json:"taskId"`
	Lines  []string `json:"lines"`
}

func (c *commands) taskLogs() *cobra.Command {
	cmd := &cobra.Command{Use: "logs ID", Short: "Show the last lines of a task's log, and those to come", Args: oneID("task"), ValidArgsFunction: c.completeTask}
	f := cmd.Flags()
	tail := f.Int("tail", 200, "how many of the last lines")
	follow := f.BoolP("follow", "f", false, "go on with new lines until the task has ended, also over a restart of the controller")
	cmd.RunE = func(cmd *cobra.Command, ids []string) error {
		asJSON := formOf(cmd) == jsonForm
		if *tail < 0 {
			return usage(cmd, errors.New("--tail must not be negative"))
		}
		if asJSON && *follow {
			return usage(cmd, errors.New("--follow has no end and cannot be one JSON document: leave out one of both"))
		}
		return c.with(cmd, func(cl *client.Client) (err error) {
			if *follow {
				f := logFollower{id: ids[0], out: c.Out, say: func(text string) { fmt.Fprintln(c.Err, text) }}
				return f.run(cmd.Context(), cl, *tail)
			}
			log, err := cl.Logs(cmd.Context(), ids[0], *tail, false)
			if err != nil {
				return err
			}
			defer log.Close() //nolint:errcheck // nothing is lost: it has been read
			if !asJSON {
				if _, err := io.Copy(c.Out, log); err != nil {
					return fmt.Errorf("read the log of task %s: %w", ids[0], err)
				}
				return nil
			}
			b, err := io.ReadAll(log)
			if err != nil {
				return fmt.Errorf("read the log of task %s: %w", ids[0], err)
			}
			doc := taskLog{TaskID: ids[0], Lines: []string{}}
			if s := strings.TrimSuffix(string(b), "\n"); s != "" {
				doc.Lines = strings.Split(s, "\n")
			}
			return printJSON(c.Out, doc)
		})
	}
	return cmd
}
