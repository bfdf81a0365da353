package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

// versions is the document of `version`.
type versions struct {
	Version   string             `json:"version"`
	GoVersion string             `json:"goVersion"`
	Platform  string             `json:"platform"`
	Server    *api.SystemVersion `json:"server,omitempty"`
}

func (c *commands) version() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Show the version of this program, and of the controller", Args: NoArgs}
	server := cmd.Flags().Bool("server-version", false, "ask the controller for its version, too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := versions{Version: c.Version, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
		if v.Version == "" {
			v.Version = "dev"
		}
		var err error
		if *server {
			err = c.with(cmd, func(cl *client.Client) error {
				s, err := cl.Version(cmd.Context())
				if err == nil {
					v.Server = &s
				}
				return err
			})
		}
		printErr := c.print(cmd, answer{document: v, names: []string{v.Version}, table: func(bool) {
			fmt.Fprintf(c.Out, "skalds %s (%s, %s)\n", v.Version, v.GoVersion, v.Platform)
			if v.Server != nil {
				fmt.Fprintf(c.Out, "server %s (%s)\n", clean(v.Server.Version), clean(v.Server.GoVersion))
			}
		}})
		if err != nil {
			return err
		}
		return printErr
	}
	return cmd
}
