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
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"gopkg.in/yaml.v3"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/schema"
)

// commandLine is the worker as a program of its own. It returns the exit code.
func (w *workerProgram) commandLine(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	var err error
	switch verb {
	case "run":
		err = w.runCommand(ctx, args[1:], stdout, stderr)
	case "describe":
		err = w.describeCommand(stdout)
	case "version", "--version":
		_, err = fmt.Fprintf(stdout, "%s %s\n", w.name, w.version)
	case "", "help", "-h", "--help":
		w.usage(stderr)
		if verb == "" {
			return 2
		}
	default:
		w.usage(stderr)
		err = fmt.Errorf("unknown command %q", verb)
	}
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", w.name, err)
		return 1
	}
	return 0
}

func (w *workerProgram) usage(out io.Writer) {
	var names []string
	for _, c := range w.classes {
		names = append(names, c.name)
	}
	fmt.Fprintf(out, `%[1]s %[2]s is a Skalds worker: a host starts it for tasks of %[3]s.
To let a host find it, copy it to <plugins>/%[1]s/%[2]s/%[1]s. To run it alone:

  %[1]s run [--class C] --attachments '{…}' | @file.json | @file.yml   run one task, without any host
  %[1]s describe                                                     print name, version, classes and schemas as JSON
  %[1]s version
`, w.name, w.version, strings.Join(names, ", "))
}

func (w *workerProgram) describeCommand(stdout io.Writer) error {
	d, err := w.describe()
	if err != nil {
		return err
	}
	e := json.NewEncoder(stdout)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

// runCommand runs one task in this process. Its error is the task's.
func (w *workerProgram) runCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet(w.name+" run", flag.ContinueOnError)
	f.SetOutput(stderr)
	className := f.String("class", "", "class to run; may be left out where the worker offers one only")
	attachments := f.String("attachments", "{}", "JSON, or @FILE with JSON or YAML")
	id := f.String("id", "local", "id of the task")
	dir := f.String("data-dir", ".", "folder for what the task writes")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *className == "" && len(w.classes) == 1 {
		*className = w.classes[0].name
	}
	class, err := w.class(*className)
	if err != nil {
		return fmt.Errorf("--class: %w", err)
	}
	raw, err := readAttachments(*attachments)
	if err != nil {
		return err
	}
	if err := w.validate(class, raw); err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	log := hclog.New(&hclog.LoggerOptions{Name: *id, Level: logLevel(), Output: stderr})
	out := newOutbox()
	a, err := class.newAttempt(attemptEnv{
		req: protocol.RunRequest{TaskID: *id, ClassName: *className, Epoch: 1, Attempt: 1, Attachments: raw, DataDir: *dir},
		log: log, out: out,
		services: newLocalServices(*dir, func(a protocol.Artifact) {
			log.Info("artifact", "kind", a.Kind, "path", a.Path, "bytes", a.Bytes, "end_reason", a.EndReason)
		}),
	})
	if err != nil {
		return err
	}
	finished := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			a.stop("signal", 10*time.Second)
		case <-finished:
		}
	}()
	go func() {
		out.put(protocol.RunEvent{Kind: protocol.EventFinished, Finished: a.run(context.WithoutCancel(ctx))})
	}()
	var last protocol.Finished
	out.pump(func(e protocol.RunEvent) {
		switch e.Kind {
		case protocol.EventProgress:
			log.Debug("progress", "percent", e.Progress.Percent, "units", e.Progress.Units, "unit", e.Progress.Unit, "stage", e.Progress.Stage)
		case protocol.EventError:
			if e.Message != "" {
				log.Warn(e.Message)
			}
		case protocol.EventResult:
			fmt.Fprintf(stdout, "%s\n", e.Value)
		case protocol.EventFinished:
			last = e.Finished
		}
	})
	close(finished)
	switch last.Kind {
	case protocol.FinishedCompleted, protocol.FinishedStopped:
		return nil
	case protocol.FinishedPanic:
		return fmt.Errorf("%s: %s\n%s", last.Hook, last.Message, last.Stack)
	}
	return fmt.Errorf("%s: %s", last.Hook, last.Message)
}

func (w *workerProgram) validate(class *ClassDef, raw json.RawMessage) error {
	doc, err := class.schemaOf()
	if err != nil {
		return err
	}
	s, err := schema.Compile(doc)
	if err != nil {
		return err
	}
	var errs []error
	for _, fe := range s.Validate(raw) {
		errs = append(errs, fmt.Errorf("attachments.%s: %s", fe.Field, fe.Message))
	}
	return errors.Join(errs...)
}

// readAttachments takes JSON, or @FILE with JSON or YAML.
func readAttachments(arg string) (json.RawMessage, error) {
	path, isFile := strings.CutPrefix(arg, "@")
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
