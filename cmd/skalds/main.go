package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/cli"
	"github.com/skalds-go/skalds/internal/servicemanager"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/shim"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	if shim.Asked() {
		os.Exit(shim.Main(sayFarewell))
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. The first SIGINT, SIGTERM or SIGHUP ends ctx, the second one the process.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	notifier, err := servicemanager.Take(os.Getenv, os.Unsetenv, os.Getpid())
	if err != nil {
		cli.PrintError(errOut, err) // it runs all the same
	}
	if notifier != nil { // a panic and a watchdog's SIGABRT are to end us by a signal: their exit code would be that of wrong settings
		debug.SetTraceback("crash")
	}
	ctx, stop := untilSignal(withManager(ctx, notifier))
	defer stop()
	root := newRoot(in, out, errOut)
	root.SetArgs(args)
	err = root.ExecuteContext(ctx)
	var exit *exitError
	if errors.As(err, &exit) && exit.err == nil {
		return exit.code
	}
	if exit != nil {
		cli.PrintError(errOut, exit.err)
		return exit.code
	}
	if err != nil {
		cli.PrintError(errOut, err)
	}
	return cli.ExitCode(err)
}

// exitSettings is the code where settings, flags or files named by them are wrong: to start again changes nothing.
const exitSettings = 2

// wrongSettings ends the program with that code.
func wrongSettings(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitSettings, err}
}

// exitError makes the program end with a code of its own; err, if any, is printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// untilSignal ends ctx at the first SIGINT, SIGTERM or, when a terminal is closed, SIGHUP; nohup keeps that one away. After
// that a signal has its usual effect.
func untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(fmt.Errorf("%w: %s", skalds.ErrStopping, s))
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, func() { cancel(nil) }
}

func newRoot(in io.Reader, out, errOut io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "skalds",
		Short: "Run every task in a process of its own, placed by the capacity that is really there",
		Long: `Skalds runs tasks, each in an operating-system process of its own. Workers are plugin executables; a host launches, limits and
measures them; a controller places tasks by what nodes really have left, and watches over them.

Start with "skalds standalone": controller, host and all servers in one program, state in one folder.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	env := cli.Env{In: in, Out: out, Err: errOut, Getenv: os.Getenv, Version: version, Isolation: plugins.ProbeIsolation}
	root.AddCommand(standaloneCommand(), backupCommand(), restoreCommand(), controllerCommand(), hostCommand(), configCommand(), awaitUnitCommand())
	root.AddCommand(cli.Commands(env)...)
	cli.AddFlags(root, env)
	return root
}

// orStopped is nil where a program was stopped while it started: nothing had begun.
func orStopped(err error) error {
	var exit *exitError
	if errors.Is(err, skalds.ErrStopping) && !errors.As(err, &exit) {
		return nil
	}
	return err
}
