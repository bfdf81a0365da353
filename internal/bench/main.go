package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/skalds-go/skalds/plugins/shim"
)

// main keeps its thread for one thing: children are tied to the thread that forks them, and this one ends with the process.
func main() {
	if shim.Asked() {
		os.Exit(shim.Main(nil))
	}
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	forks, done := make(chan func()), make(chan int)
	start := func(c *exec.Cmd) error {
		err := make(chan error)
		forks <- func() { err <- c.Start() }
		return <-err
	}
	go func() { done <- run(ctx, os.Args[1:], os.Stdout, os.Stderr, start) }()
	for {
		select {
		case fork := <-forks:
			fork()
		case code := <-done:
			stop()
			os.Exit(code)
		}
	}
}

// run is the program. It fails when something could not be measured, not when a bound was missed.
func run(ctx context.Context, args []string, out, errOut io.Writer, start func(*exec.Cmd) error) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	short := flags.Bool("short", false, "measure a few times only: shows that everything can be measured, no more")
	only := flags.String("only", "", "`keys` to measure, separated by commas; default all")
	file := flags.String("out", "bench.json", "`file` for the results")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	chosen, err := choose(*only)
	if err != nil {
		fmt.Fprintln(errOut, "bench:", err)
		return 2
	}
	results, err := measureAll(ctx, chosen, *short, out, errOut, start)
	if werr := write(*file, results); werr != nil {
		err = errors.Join(err, werr)
	}
	if err != nil {
		fmt.Fprintln(errOut, "bench:", err)
		return 1
	}
	return 0
}

// choose picks the experiments that a list of keys asks for.
func choose(only string) ([]experiment, error) {
	if only == "" {
		return experiments(), nil
	}
	var out []experiment
	wanted := strings.Split(only, ",")
	known := map[string]bool{}
	for _, e := range experiments() {
		asked := false
		for _, p := range e.promises {
			known[p.key] = true
			asked = asked || slices.Contains(wanted, p.key)
		}
		if asked {
			out = append(out, e)
		}
	}
	for _, key := range wanted {
		if !known[key] {
			return nil, fmt.Errorf("there is no %q; there are %s", key, strings.Join(keys(), ", "))
		}
	}
	return out, nil
}

// measureAll runs one experiment after the other; one that fails does not keep the others from running.
func measureAll(ctx context.Context, chosen []experiment, short bool, out, errOut io.Writer, start func(*exec.Cmd) error) (map[string]result, error) {
	l, err := newLab(ctx, short, errOut, start)
	if err != nil {
		return nil, err
	}
	results := map[string]result{}
	var failed []error
	fmt.Fprintf(out, "%s, %s/%s, %d cores, load %.2f\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load())
	fmt.Fprintf(out, rowFormat, "promise", "value", "bound", "", "reference", "n", "load")
	for _, e := range chosen {
		if ctx.Err() != nil {
			failed = append(failed, context.Cause(ctx))
			break
		}
		values, err := e.measure(ctx, l)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", e.promises[0].key, err))
			fmt.Fprintf(out, "%-38s could not be measured\n", e.promises[0].key)
			continue
		}
		for i, p := range e.promises {
			if why := values[i].leftOut; why != "" {
				fmt.Fprintf(out, "%-38s left out: %s\n", p.key, why)
				continue
			}
			r := values[i].judge(p)
			results[p.key] = r
			r.print(out, p)
		}
	}
	return results, errors.Join(append(failed, l.Close())...)
}

func write(path string, results map[string]result) error {
	if len(results) == 0 {
		return nil
	}
	b, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
