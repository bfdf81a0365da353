package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/internal/client"
)

// completeTimeout bounds the question behind a press of the tab key.
const completeTimeout = 2 * time.Second

// complete offers what read gives, without what is already on the line.
func (c *commands) complete(cmd *cobra.Command, args []string, prefix string, read func(context.Context, *client.Client) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	var out []string
	err := c.with(cmd, func(cl *client.Client) error {
		all, err := read(ctx, cl)
		for _, s := range all {
			if strings.HasPrefix(s, prefix) && !slices.Contains(args, s) {
				out = append(out, s)
			}
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (c *commands) completeTasks(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, prefix, func(ctx context.Context, cl *client.Client) (ids []string, err error) {
		l, err := readTasks(ctx, cl, client.ListTasks{IDContains: prefix}, 100)
		for _, t := range l.Items {
			ids = append(ids, t.ID)
		}
		return ids, err
	})
}

func (c *commands) completeTask(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeTasks(cmd, args, prefix)
}

func (c *commands) completeNodes(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, args, prefix, func(ctx context.Context, cl *client.Client) (ids []string, err error) {
		l, err := cl.Nodes(ctx, "", "")
		for _, n := range l.Items {
			ids = append(ids, n.ID)
		}
		return ids, err
	})
}

func (c *commands) completeNode(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeNodes(cmd, args, prefix)
}

func (c *commands) completeClasses(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, args, prefix, func(ctx context.Context, cl *client.Client) (names []string, err error) {
		l, err := cl.Workers(ctx)
		for _, w := range l.Items {
			for _, class := range w.Classes {
				if !slices.Contains(names, class.ClassName) {
					names = append(names, class.ClassName)
				}
			}
		}
		return names, err
	})
}
