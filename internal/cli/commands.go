package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/client"
)

// Env is what commands need of the world.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(string) string
	Version  string // of this program
	// Isolation says what this machine can do for that of tasks; nil: nobody can tell.
	Isolation func() skalds.NodeAbilities
	Now       func() time.Time // nil: time.Now; times are shown in its location
}

// commands makes the commands; they share nothing but the world.
type commands struct{ Env }

// Commands lists the commands that speak to a controller. They expect the flags of AddFlags on a parent.
func Commands(e Env) []*cobra.Command {
	if e.Now == nil {
		e.Now = time.Now
	}
	c := &commands{e}
	all := []*cobra.Command{c.task(), c.node(), c.worker(), c.controllers(), c.version(), c.doctor()}
	for _, cmd := range all {
		prepare(cmd, e)
	}
	return all
}

// AddFlags gives root the flags that all commands share, and makes it return every error instead of printing it, unknown
// commands included.
func AddFlags(root *cobra.Command, e Env) {
	server := e.Getenv("SKALDS_SERVER")
	if server == "" {
		server = client.DefaultServer
	}
	f := root.PersistentFlags()
	f.String("server", server, "address of a controller; SKALDS_SERVER in the environment")
	f.String("token", "", "token that the controller asks for; SKALDS_TOKEN in the environment")
	form := tableForm
	f.VarP(&form, "output", "o", "what to print: table, wide, json or name")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formNames(), cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	prepare(root, e)
	if root.Args == nil {
		root.Args = knownCommand
	}
	if root.Run == nil && root.RunE == nil { // cobra checks the arguments only of what can run
		root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
}

func prepare(cmd *cobra.Command, e Env) {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetIn(e.In)
	cmd.SetOut(e.Out)
	cmd.SetErr(e.Err)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
}

// connect makes a client of the controller that flags and environment name. The caller closes it.
func (c *commands) connect(cmd *cobra.Command) *client.Client {
	token := flagText(cmd, "token")
	if token == "" {
		token = c.Getenv("SKALDS_TOKEN")
	}
	return client.New(flagText(cmd, "server"), token)
}

func flagText(cmd *cobra.Command, name string) string {
	if f := cmd.Flag(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// with runs fn with a client of the controller.
func (c *commands) with(cmd *cobra.Command, fn func(*client.Client) error) (err error) {
	cl := c.connect(cmd)
	defer func() {
		if closeErr := cl.Close(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
	}()
	err = fn(cl)
	if err != nil && cmd.Context().Err() != nil {
		return &interruptedError{err}
	}
	return err
}

// each asks for one change after the other, also after one that failed, and shows what became of each.
func each[T any](c *commands, cmd *cobra.Command, ids []string, change func(*client.Client, string) (T, error), line func(T) string) error {
	return c.with(cmd, func(cl *client.Client) error {
		var errs []error
		a := answer{}
		var items []T
		var done []string
		for _, id := range ids {
			v, err := change(cl, id)
			if err != nil {
				errs = append(errs, err)
				if cmd.Context().Err() != nil {
					break
				}
				continue
			}
			items, done = append(items, v), append(done, id)
		}
		a.names = done
		a.table = func(bool) {
			for _, v := range items {
				fmt.Fprintln(c.Out, line(v))
			}
		}
		switch {
		case len(ids) > 1:
			a.document = list[T]{Items: nonNil(items)}
		case len(items) == 1:
			a.document = items[0]
		default:
			return errors.Join(errs...)
		}
		if err := c.print(cmd, a); err != nil {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// list is the document of several answers.
type list[T any] struct {
	Items []T `json:"items"`
}

func nonNil[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// group is a command that has others below it and does nothing by itself.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: knownCommand, RunE: func(cmd *cobra.Command, _ []string) error {
		var names []string
		for _, b := range cmd.Commands() {
			if b.IsAvailableCommand() {
				names = append(names, b.Name())
			}
		}
		slices.Sort(names)
		return usage(cmd, fmt.Errorf("say what to do: %s", strings.Join(names, ", ")))
	}}
	g.AddCommand(below...)
	return g
}

// knownCommand refuses what is no command below cmd, with the nearest name.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%q is no command of %s", args[0], cmd.CommandPath())
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(": did you mean %s?", strings.Join(near, " or "))
	}
	return usage(cmd, errors.New(text))
}

// NoArgs refuses arguments, as a mistake in the command line: the Args of commands that take none.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Errorf("%q is too much: %s takes no argument", args[0], cmd.CommandPath()))
	}
	return nil
}

// OneFile asks for exactly one file: the Args of commands that read or write one.
func OneFile(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usage(cmd, errors.New("name the file"))
	case len(args) > 1:
		return usage(cmd, fmt.Errorf("%q is too much: name one file", args[1]))
	}
	return nil
}

// oneID asks for exactly one id of a thing.
func oneID(thing string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return missingID(cmd, thing)
		case len(args) > 1:
			return usage(cmd, fmt.Errorf("%q is too much: name one %s", args[1], thing))
		}
		return nil
	}
}

// someIDs asks for one id of a thing or more.
func someIDs(thing string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return missingID(cmd, thing)
		}
		return nil
	}
}

func missingID(cmd *cobra.Command, thing string) error {
	return usage(cmd, fmt.Errorf("name the %s by its id: `%s %s list` shows them", thing, cmd.Root().Name(), thing))
}
