package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/client"
	"github.com/skalds-go/skalds/internal/conf"
)

func (c *commands) taskCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create CLASS",
		Short: "Create a task",
		Long: `Create a task of a class; "skalds worker list" shows the classes.

Attachments are the task's parameters. --set adds to them one by one: a value that is JSON is taken as such, everything
else is a string (--set n=3 is a number, --set name=front a string, --set 'code="007"' a string too). A dot in the key
leads into an object: --set camera.url=rtsp://….

A file named by -f holds the whole body of POST /api/tasks; what flags say goes before what it says.`,
		Example: `  skalds task create Counter --set to=100 --wait
  skalds task create RtspRecorder --id front --attachments @front.json --limit-memory 256MiB --persistent
  skalds task create -f task.json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, fmt.Errorf("%q is too much: name one class", args[1]))
			}
			if len(args) == 0 && flagText(cmd, "file") == "" {
				return usage(cmd, errors.New("name the class of work: `skalds worker list` shows them"))
			}
			return nil
		},
		ValidArgsFunction: c.completeClasses,
	}
	f := cmd.Flags()
	f.StringP("file", "f", "", "file with the whole body as JSON; - is standard input")
	attachments := f.String("attachments", "", "parameters as JSON, @FILE, or - for standard input")
	set := f.StringArray("set", nil, "one parameter, key=value; may be repeated")
	body := createBody(cmd)
	wait := f.Bool("wait", false, "wait until the task has ended; exit code 0 only when it has Finished")
	key := f.String("idempotency-key", "", "the same key and task again creates nothing new")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		doc := document{}
		if file := flagText(cmd, "file"); file != "" {
			if file == "-" && *attachments == "-" {
				return usage(cmd, errors.New("--file and --attachments cannot both read standard input"))
			}
			var err error
			if doc, err = c.readFile("file", file); err != nil {
				return usage(cmd, err)
			}
		}
		if len(args) == 1 {
			doc["className"] = args[0]
		}
		if f.Changed("attachments") {
			a, err := c.readDocument("attachments", *attachments)
			if err != nil {
				return usage(cmd, err)
			}
			doc["attachments"] = map[string]any(a)
		}
		if err := setAttachments(doc, *set); err != nil {
			return usage(cmd, err)
		}
		if err := body(doc); err != nil {
			return usage(cmd, err)
		}
		text, err := json.Marshal(doc)
		if err != nil {
			return fmt.Errorf("write the task: %w", err)
		}
		return c.with(cmd, func(cl *client.Client) error { return c.create(cmd, cl, text, *key, *wait) })
	}
	return cmd
}

// setAttachments applies --set to the attachments of a task.
func setAttachments(doc document, set []string) error {
	if len(set) == 0 {
		return nil
	}
	a, ok := doc["attachments"].(map[string]any)
	if !ok && doc["attachments"] != nil {
		return fmt.Errorf("attachments are %s: --set needs a JSON object", kindOf(doc["attachments"]))
	}
	if a == nil {
		a = map[string]any{}
	}
	doc["attachments"] = a
	return document(a).set(set)
}

func (c *commands) create(cmd *cobra.Command, cl *client.Client, body json.RawMessage, key string, wait bool) error {
	t, err := cl.CreateTaskJSON(cmd.Context(), body, key)
	if err != nil {
		return err
	}
	a := answer{document: t, names: []string{t.ID}, table: func(bool) { fmt.Fprintf(c.Out, "task %s created\n", t.ID) }}
	if !wait {
		return c.print(cmd, a)
	}
	if f := formOf(cmd); f != jsonForm { // one document: that of the end
		if err := c.print(cmd, a); err != nil {
			return err
		}
	}
	end, waitErr := c.waitOne(cmd.Context(), cl, t.ID, "")
	if waitErr == nil || end.LifecycleStatus.Final() {
		switch formOf(cmd) {
		case jsonForm:
			if err := printJSON(c.Out, end); err != nil {
				return err
			}
		case nameForm:
		default:
			c.reached(end)
		}
	}
	if waitErr != nil && cmd.Context().Err() != nil {
		fmt.Fprintf(c.Err, "task %s goes on: `skalds task wait %s` waits for it again, `skalds task cancel %s` ends it\n", t.ID, t.ID, t.ID)
	}
	return waitErr
}

// createBody adds the flags that are fields of a task, and returns what puts those that were given into a body.
func createBody(cmd *cobra.Command) func(document) error {
	f := cmd.Flags()
	var given []func(document) error
	field := func(flag string, value func() (any, error), path ...string) {
		given = append(given, func(doc document) error {
			if !f.Changed(flag) {
				return nil
			}
			v, err := value()
			if err != nil {
				return err
			}
			return doc.put(v, path...)
		})
	}
	str := func(flag, help string, path ...string) {
		v := f.String(flag, "", help)
		field(flag, func() (any, error) { return *v, nil }, path...)
	}
	num := func(flag, help string, path ...string) {
		v := f.Int(flag, 0, help)
		field(flag, func() (any, error) { return *v, nil }, path...)
	}
	size := func(flag, help string, path ...string) {
		v := parsedFlag[conf.ByteSize](f, flag, "size", help)
		field(flag, func() (any, error) { return int64(*v), nil }, path...)
	}
	cores := func(flag, help string, path ...string) {
		v := parsedFlag[conf.CPU](f, flag, "cores", help)
		field(flag, func() (any, error) { return float64(*v), nil }, path...)
	}
	span := func(flag, help string, path ...string) {
		v := parsedFlag[skalds.Duration](f, flag, "duration", help)
		field(flag, func() (any, error) { return *v, nil }, path...)
	}
	str("id", "id of the task; left out: one is made", "id")
	str("name", "name for people", "name")
	str("description", "what it is for", "description")
	str("version", "constraint on the worker's version, e.g. ^1.2", "version")
	num("priority", "0 to 10, 10 is the most urgent", "priority")
	persistent := f.Bool("persistent", false, "run again for ever unless --max-attempts says otherwise")
	field("persistent", func() (any, error) { return *persistent, nil }, "isPersistent")
	cores("cpu", "CPU to reserve: 0.5 or 500m", "resources", "cpuCores")
	size("memory", "memory to reserve: 128MiB", "resources", "memoryBytes")
	cores("limit-cpu", "CPU that it may use", "limits", "cpuCores")
	size("limit-memory", "memory that it may use", "limits", "memoryBytes")
	num("limit-pids", "processes and threads that it may have; a worker alone has about ten", "limits", "pids")
	num("limit-io-weight", "share of the disk when several tasks want it: 1 to 10000, 100 is what everybody has", "limits", "ioWeight")
	num("max-attempts", "how often it may fail before it has Failed; -1: without limit", "retry", "maxAttempts")
	num("oom-attempts", "how often it may end for memory before it has Failed, counted apart; -1: without limit", "retry", "oom", "maxAttempts")
	growth := f.Float64("oom-factor", 0, "how much its memory limit grows after an end for memory (default 1.5; 1: not at all)")
	field("oom-factor", func() (any, error) { return *growth, nil }, "retry", "oom", "factor")
	size("oom-max-memory", "the highest that its memory limit grows to (default: four times the first one)", "retry", "oom", "maxMemoryBytes")
	span("timeout-queue", "how long it may wait for a node", "timeouts", "queue")
	span("timeout-start", "how long its launch may take", "timeouts", "start")
	span("timeout-run", "how long it may run", "timeouts", "run")
	span("timeout-stall", "how long it may go without progress", "timeouts", "stall")
	str("isolate-user", "user that it runs as: uid, uid:gid, or a name that its node knows", "isolation", "user")
	words := func(flag, help string, path ...string) {
		v := f.StringArray(flag, nil, help+"; may be repeated")
		field(flag, func() (any, error) { return *v, nil }, path...)
	}
	spaces := f.StringSlice("isolate-ns", nil, "namespaces of its own, of user, pid and net: pid,net")
	field("isolate-ns", func() (any, error) { return *spaces, nil }, "isolation", "namespaces")
	words("read-only", "path that it may read; all others but what it needs are denied", "isolation", "paths", "readOnly")
	words("read-write", "path that it may read and write; all others but what it needs are denied", "isolation", "paths", "readWrite")
	noNew := f.Bool("no-new-privileges", false, "whatever it executes gives it no more rights")
	field("no-new-privileges", func() (any, error) { return *noNew, nil }, "isolation", "noNewPrivileges")
	str("on-disconnect", "what a node does with it when it has lost the controller: stop or keep", "onDisconnect")
	labels := f.StringArray("label", nil, "key=value; may be repeated")
	given = append(given, func(doc document) error {
		m, err := pairs("label", *labels)
		if err != nil {
			return err
		}
		for k, v := range m {
			if err := doc.put(v, "labels", k); err != nil {
				return err
			}
		}
		return nil
	})
	constraints := f.StringArray("constraint", nil, "condition on a node's labels: zone=a, gpu, arch!=arm64; may be repeated")
	field("constraint", func() (any, error) { return *constraints, nil }, "constraints")
	return func(doc document) error {
		var errs []error
		for _, fn := range given {
			errs = append(errs, fn(doc))
		}
		return errors.Join(errs...)
	}
}
