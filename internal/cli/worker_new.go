package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/internal/scaffold"
)

// newWorker is the document of `worker new`.
type newWorker struct {
	Folder string `json:"folder"`
	Class  string `json:"class"`
	SDK    string `json:"sdk"`
}

func (c *commands) workerNew() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new DIR",
		Short: "Write the folder of a new worker, which builds as it is",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usage(cmd, errors.New("name the folder to make"))
			case len(args) > 1:
				return usage(cmd, fmt.Errorf("%q is too much: name one folder", args[1]))
			}
			return nil
		},
	}
	f := cmd.Flags()
	module := f.String("module", "", "path of the Go module; left out: the folder's name")
	class := f.String("class", "Hello", "the class of work that it offers")
	sdk := f.String("sdk", "", "folder of the SDK's source, plugin-sdk; SKALDS_SDK in the environment")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source, err := c.sdkSource(*sdk)
		if err != nil {
			return err
		}
		dir, err := filepath.Abs(args[0])
		if err != nil {
			return fmt.Errorf("new worker %s: %w", args[0], err)
		}
		if err := scaffold.New(dir, *module, *class, source); err != nil {
			return err
		}
		return c.print(cmd, answer{document: newWorker{dir, *class, source}, names: []string{dir}, table: func(bool) {
			fmt.Fprintf(c.Out, "%s holds a worker with the class %s. Try it alone:\n  cd %s && make run\n", dir, *class, args[0])
			fmt.Fprintf(c.Out, "Its README.md says the rest.\n")
		}})
	}
	return cmd
}
