package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/internal/client"
)

// health is how one check came out.
type health string

const (
	healthOK   health = "ok"
	healthWarn health = "warn" // works, but not as well as it could
	healthFail health = "fail" // something does not work
)

// finding is the outcome of one check.
type finding struct {
	Status health `json:"status"`
	Name   string `json:"name"`
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"` // what to do
}

// findings is the document of `doctor`.
type findings struct {
	Status health    `json:"status"` // the worst of all
	Checks []finding `json:"checks"`
}

func (f *findings) add(status health, name, advice, format string, args ...any) {
	f.Checks = append(f.Checks, finding{status, name, fmt.Sprintf(format, args...), advice})
	if f.Status != healthFail && status != healthOK {
		f.Status = status
	}
}

func (c *commands) doctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine and the controller, and say what to do",
		Long:  "Check this machine and the controller. Every line says ok, warn or fail, and what to do. The exit code is 1 when something fails.",
		Args:  NoArgs,
	}
	f := cmd.Flags()
	dataDir := f.String("data-dir", defaultDataDir, "data folder to check")
	local := f.Bool("local", false, "check this machine only")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		out := findings{Status: healthOK}
		checkMachine(&out)
		if c.Isolation != nil {
			checkIsolation(&out, c.Isolation())
		}
		checkDataDir(&out, *dataDir)
		if !*local {
			err := c.with(cmd, func(cl *client.Client) error { return c.checkServer(cmd.Context(), cl, &out) })
			if err != nil {
				return err
			}
		}
		if err := c.print(cmd, out.answer(c)); err != nil {
			return err
		}
		if out.Status == healthFail {
			return errors.New("doctor: something does not work: see the lines that say fail")
		}
		return nil
	}
	return cmd
}

func (f *findings) answer(c *commands) answer {
	a := answer{document: f}
	for _, i := range f.Checks {
		if i.Status != healthOK {
			a.names = append(a.names, i.Name)
		}
	}
	a.table = func(bool) {
		tab := newTable(c.Out)
		for _, i := range f.Checks {
			line := i.Text
			if i.Advice != "" {
				line += "; " + i.Advice
			}
			tab.row(string(i.Status), i.Name, line)
		}
		tab.flush()
	}
	return a
}

// checkServer asks the controller; an error is only what interrupts it.
func (c *commands) checkServer(ctx context.Context, cl *client.Client, out *findings) error {
	h, err := cl.Health(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		out.add(healthFail, "controller", "", "%v", err)
		return nil
	}
	c.checkController(ctx, cl, out)
	checkServices(out, h)
	checkTasks := func(ctx context.Context, cl *client.Client, out *findings) error {
		bus, told := h.Services["bus"]
		return c.checkTasks(ctx, cl, out, !told || bus == "healthy")
	}
	for _, check := range []struct {
		name string
		run  func(context.Context, *client.Client, *findings) error
	}{{"nodes", c.checkNodes}, {"workers", checkWorkers}, {"tasks", checkTasks}} {
		if err := check.run(ctx, cl, out); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			out.add(healthFail, check.name, "", "%v", err)
		}
	}
	return nil
}
