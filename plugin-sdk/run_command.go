package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"gopkg.in/yaml.v3"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/schema"
)

// stopGrace is what a task that runs alone gets between the first signal and its end.
const stopGrace = 10 * time.Second

// runCommand runs one task in this process. Its error is the task's.
func (w *workerProgram) runCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet(w.name+" run", flag.ContinueOnError)
	f.SetOutput(stderr)
	className := f.String("class", "", "class to run; may be left out where the worker offers one only")
	attachments := f.String("attachments", "{}", "JSON, @FILE, or a .json or .yml file")
	id := f.String("id", "local", "id of the task")
	dir := f.String("data-dir", ".", "folder for what the task writes")
	if err := f.Parse(args); err != nil {
		return &usageError{err}
	}
	if f.NArg() > 0 {
		return &usageError{fmt.Errorf("unexpected argument %q", f.Arg(0))}
	}
	if *className == "" && len(w.classes) == 1 {
		*className = w.classes[0].name
	}
	class, err := w.class(*className)
	if err != nil {
		return &usageError{fmt.Errorf("--class: %w", err)}
	}
	raw, err := readAttachments(*attachments)
	if err != nil {
		return &usageError{err}
	}
	if err := class.validate(raw); err != nil {
		return &usageError{err}
	}
	path, err := filepath.Abs(*dir)
	if err != nil {
		return &usageError{fmt.Errorf("--data-dir: %w", err)}
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return &usageError{fmt.Errorf("--data-dir: %w", err)}
	}
	log := hclog.New(&hclog.LoggerOptions{Name: *id, Level: logLevel(), Output: stderr})
	out := newOutbox()
	a, err := class.attempt(attemptEnv{
		req: protocol.RunRequest{TaskID: *id, ClassName: *className, Epoch: 1, Attempt: 1, Attachments: raw, DataDir: path},
		log: log, out: out,
		services: newLocalServices(path, func(a protocol.Artifact) {
			log.Info("artifact", "kind", a.Kind, "path", a.Path, "bytes", a.Bytes, "end_reason", a.EndReason)
		}),
	})
	if err != nil {
		return err
	}
	return superviseAlone(ctx, a, out, log, stdout)
}

// superviseAlone does for a task what a host would: it shows what the task says, stops it when ctx ends, and gives up on
// one that does not stop.
func superviseAlone(ctx context.Context, a attempt, out *outbox, log hclog.Logger, stdout io.Writer) error {
	last := make(chan protocol.Finished, 1)
	go runAttempt(context.WithoutCancel(ctx), a, out)
	go func() {
		p := progressPrinter{log: log}
		out.pump(func(e protocol.RunEvent) {
			switch e.Kind {
			case protocol.EventProgress:
				p.see(e.Progress)
			case protocol.EventError:
				if e.Message != "" {
					log.Warn(e.Message)
				}
			case protocol.EventResult:
				fmt.Fprintf(stdout, "%s\n", e.Value)
			case protocol.EventFinished:
				p.flush()
				last <- e.Finished
			}
		})
	}()
	var end protocol.Finished
	select {
	case end = <-last:
	case <-ctx.Done():
		log.Info("stopping", "grace", stopGrace)
		a.stop("signal", stopGrace)
		select {
		case end = <-last:
		case <-time.After(stopGrace):
			return fmt.Errorf("the task did not stop within %s", stopGrace)
		}
	}
	switch end.Kind {
	case protocol.FinishedCompleted:
		log.Info("finished")
		return nil
	case protocol.FinishedStopped:
		log.Info("stopped")
		return nil
	case protocol.FinishedPanic:
		return fmt.Errorf("%s: %s\n%s", end.Hook, end.Message, end.Stack)
	}
	return fmt.Errorf("%s: %s", end.Hook, end.Message)
}

// progressPrinter shows progress to people: at most once a second, and at once when a stage begins.
type progressPrinter struct {
	log     hclog.Logger
	shown   protocol.Progress
	seen    protocol.Progress
	shownAt time.Time
}

func (p *progressPrinter) see(now protocol.Progress) {
	p.seen = now
	if time.Since(p.shownAt) >= time.Second || now.Stage != p.shown.Stage {
		p.flush()
	}
}

func (p *progressPrinter) flush() {
	if p.seen == p.shown {
		return
	}
	p.shown, p.shownAt = p.seen, time.Now()
	pairs := []any{"percent", p.seen.Percent}
	if p.seen.Unit != "" {
		pairs = append(pairs, p.seen.Unit, p.seen.Units)
	}
	if p.seen.Stage != "" {
		pairs = append(pairs, "stage", p.seen.Stage)
	}
	p.log.Info("progress", pairs...)
}

// validate checks attachments against the class's schema.
func (d *ClassDef) validate(raw json.RawMessage) error {
	doc, err := d.schemaOf()
	if err != nil {
		return err
	}
	faults, err := schema.Check(doc, raw)
	if err != nil {
		return err
	}
	var errs []error
	for _, fe := range faults {
		at := "attachments"
		if fe.Field != "" {
			at += "." + fe.Field
		}
		errs = append(errs, fmt.Errorf("%s: %s", at, fe.Message))
	}
	return errors.Join(errs...)
}

// readAttachments takes JSON, @FILE, or the name of a .json, .yml or .yaml file; a file may hold JSON or YAML.
func readAttachments(arg string) (json.RawMessage, error) {
	path, isFile := strings.CutPrefix(arg, "@")
	switch strings.ToLower(filepath.Ext(arg)) {
	case ".json", ".yml", ".yaml":
		isFile = true
	}
	if !isFile {
		if !json.Valid([]byte(arg)) {
			return nil, errors.New("--attachments: no valid JSON (for a file write @FILE)")
		}
		return json.RawMessage(arg), nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--attachments: %w", err)
	}
	if json.Valid(b) {
		return b, nil
	}
	var v any
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&v); err != nil {
		return nil, fmt.Errorf("--attachments: %s: %w", path, err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("--attachments: %s: %w", path, err)
	}
	return out, nil
}
