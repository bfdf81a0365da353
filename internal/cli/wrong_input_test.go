package cli_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/controllertest"
	"github.com/skalds-go/skalds/internal/cli"
)

// A wrong command line is told in one line, names its help, and asks nothing of a controller.
func TestWrongCommandLines(t *testing.T) {
	asked := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it was asked for %s", r.URL) }))
	defer asked.Close()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "list.json"), `[1]`)
	write(t, filepath.Join(dir, "big.json"), `{"a":"`+strings.Repeat("x", skalds.MaxBodyBytes)+`"}`)
	for args, want := range map[string]string{
		"tsak list":                               "\"tsak\" is no command of skalds: did you mean task? (see `skalds --help`)",
		"task lsit":                               "\"lsit\" is no command of skalds task: did you mean list or wait? (see `skalds task --help`)",
		"node":                                    "say what to do: cordon, declare-lost, drain, get, label, list, uncordon, undrain (see `skalds node --help`)",
		"task get":                                "name the task by its id: `skalds task list` shows them (see `skalds task get --help`)",
		"task cancel":                             "name the task by its id: `skalds task list` shows them (see `skalds task cancel --help`)",
		"task get a b":                            "\"b\" is too much: name one task (see `skalds task get --help`)",
		"task get a --foo":                        "unknown flag: --foo (see `skalds task get --help`)",
		"task list x":                             "\"x\" is too much: skalds task list takes no argument (see `skalds task list --help`)",
		"task list -o xml":                        "invalid argument \"xml\" for \"-o, --output\" flag: it is none of table, wide, json, name (see `skalds task list --help`)",
		"task list --state Gone":                  "--state: \"Gone\" is none of Created, Assigning, Running, Paused, Finished, Failed, Cancelled (see `skalds task list --help`)",
		"task list --limit 0":                     "--limit must be 1 or more; --all lists all (see `skalds task list --help`)",
		"task list --all --limit 3":               "--limit and --all exclude each other: leave out one of both (see `skalds task list --help`)",
		"task list --label x":                     "--label \"x\" is not of the form key=value (see `skalds task list --help`)",
		"task create":                             "name the class of work: `skalds worker list` shows them (see `skalds task create --help`)",
		"task create A B":                         "\"B\" is too much: name one class (see `skalds task create --help`)",
		"task create A --attachments {\"n\":1,}":  "--attachments: line 1, column 8: invalid character '}' looking for beginning of object key string (see `skalds task create --help`)",
		"task create A --attachments {\"n\":1":    "--attachments: line 1, column 6: unexpected end of JSON input (see `skalds task create --help`)",
		"task create A --attachments {}x":         "--attachments: line 1, column 3: invalid character 'x' after top-level value (see `skalds task create --help`)",
		"task create A --attachments [1]":         "--attachments: it is a list: write a JSON object, for example {\"key\": \"value\"} (see `skalds task create --help`)",
		"task create A --attachments null":        "--attachments: it is null: write a JSON object, for example {\"key\": \"value\"} (see `skalds task create --help`)",
		"task create A --attachments=":            "--attachments: it is empty: write a JSON object, for example {\"key\": \"value\"} (see `skalds task create --help`)",
		"task create A --attachments -":           "--attachments: standard input: it is empty: write a JSON object, for example {\"key\": \"value\"} (see `skalds task create --help`)",
		"task create A --attachments @/nope.json": "--attachments: open /nope.json: no such file or directory (see `skalds task create --help`)",
		"task create -f /nope.json":               "--file: open /nope.json: no such file or directory (see `skalds task create --help`)",
		"task create -f DIR/list.json":            "--file: DIR/list.json: it is a list: write a JSON object, for example {\"key\": \"value\"} (see `skalds task create --help`)",
		"task create -f DIR/big.json":             "--file: DIR/big.json has more than the 1 MiB allowed: pass large data by reference (see `skalds task create --help`)",
		"task create -f - --attachments -":        "--file and --attachments cannot both read standard input (see `skalds task create --help`)",
		"task create A --set x":                   "--set \"x\" is not of the form key=value (see `skalds task create --help`)",
		"task create A --set a..b=1":              "--set \"a..b=1\": the key \"a..b\" has an empty part (see `skalds task create --help`)",
		"task create A --set a=1 --set a.b=1":     "--set \"a.b=1\": a is a number, which has nothing below it (see `skalds task create --help`)",
		"task create A --limit-memory 128M":       "invalid argument \"128M\" for \"--limit-memory\" flag: size \"128M\" is not of the form 128MiB (KiB, MiB, GiB, TiB, kB, MB, GB, TB, or a plain number of bytes) (see `skalds task create --help`)",
		"task create A --cpu many":                "invalid argument \"many\" for \"--cpu\" flag: CPU \"many\" is not of the form 1.5 (cores) or 500m (thousandths of a core) (see `skalds task create --help`)",
		"task create A --timeout-run 5":           "invalid argument \"5\" for \"--timeout-run\" flag: duration \"5\" has no unit: write 5s, 5ms or the like (see `skalds task create --help`)",
		"task create A --label =x":                "--label \"=x\" is not of the form key=value (see `skalds task create --help`)",
		"task update a":                           "say what to change: --set key=value, or --attachments (see `skalds task update --help`)",
		"task wait a --for Gone":                  "--for: \"Gone\" is none of Created, Assigning, Running, Paused, Finished, Failed, Cancelled (see `skalds task wait --help`)",
		"task wait a --timeout -1s":               "--timeout must not be negative (see `skalds task wait --help`)",
		"task logs a --tail -1":                   "--tail must not be negative (see `skalds task logs --help`)",
		"task logs a -f -o json":                  "--follow has no end and cannot be one JSON document: leave out one of both (see `skalds task logs --help`)",
		"task usage a --tail 0":                   "--tail must be 1 or more (see `skalds task usage --help`)",
		"node list --mode x":                      "--mode: \"x\" is none of node, edge, single_process (see `skalds node list --help`)",
		"node list --status x":                    "--status: \"x\" is neither online nor offline (see `skalds node list --help`)",
		"node drain":                              "name the node by its id: `skalds node list` shows them (see `skalds node drain --help`)",
		"worker new":                              "name the folder to make (see `skalds worker new --help`)",
		"worker new a b":                          "\"b\" is too much: name one folder (see `skalds worker new --help`)",
	} {
		t.Run(args, func(t *testing.T) {
			words := strings.Fields(strings.ReplaceAll(args, "DIR", dir))
			r := shell{env: map[string]string{"SKALDS_SERVER": asked.URL}}.run(t, words...)
			r.check(t, 2, "", "skalds: "+strings.ReplaceAll(want, "DIR", dir)+"\n")
		})
	}
}

func TestNoController(t *testing.T) {
	s := shell{env: map[string]string{"SKALDS_SERVER": "127.0.0.1:1"}}
	const away = "skalds: cannot reach http://127.0.0.1:1: connection refused: is this the right address (--server, SKALDS_SERVER)? In a cluster name another of its controllers; on one machine `skalds standalone` starts everything\n"
	for _, args := range []string{"task list", "task create Demo", "task get a", "task wait a", "task cancel a", "task update a --set n=1", "task logs a", "node list", "worker list"} {
		s.run(t, strings.Fields(args)...).check(t, 6, "", away)
	}
	s.run(t, "version", "--server-version").check(t, 6, "…skalds dev (go", away)
	s.run(t, "task", "cancel", "a", "b").check(t, 6, "", away+away)
	s.run(t, "task", "list", "--server", "http://h:port").check(t, 3, "", "…is no address of a skalds server")
	if got := s.run(t, "__complete", "task", "get", "").out; !strings.HasPrefix(got, ":1\n") {
		t.Errorf("completes to %q", got)
	}
}

func TestTheControllersRefusals(t *testing.T) {
	w := start(t)
	w.run(t, "task", "get", "nope").check(t, 4, "", "…\"nope\"")
	w.run(t, "task", "get", "..").check(t, 3, "", "…cannot be used as an id")
	w.run(t, "node", "get", "nope").check(t, 4, "", "…nope")
	w.run(t, "task", "create", "Nope").check(t, 3, "", "…known classes: Demo")
	r := w.run(t, "task", "create", "Demo", "--priority", "11", "--max-attempts", "-2", "--on-disconnect", "x")
	r.check(t, 3, "", "…\n  priority: 11 is outside 0–10 (10 is the most urgent)\n")
	if !strings.Contains(r.err, "\n  retry.maxAttempts: ") || !strings.Contains(r.err, "\n  onDisconnect: ") || strings.Count(r.err, "\n") != 4 {
		t.Errorf("not every field has its line: %s", r.err)
	}
	r = w.run(t, "task", "create", "Demo", "--isolate-user", "root", "--isolate-ns", "ipc", "--read-only", "data")
	r.check(t, 3, "", "…\n  isolation.user: is root")
	if !strings.Contains(r.err, "\n  isolation.namespaces.0: ") || !strings.Contains(r.err, "\n  isolation.paths.readOnly.0: \"data\" is not absolute") {
		t.Errorf("not every part of the isolation has its line: %s", r.err)
	}
	w.run(t, "task", "create", "Demo", "--set", "n=x", "--set", "m=1").check(t, 3, "", "…\n  attachments.n: ")
	const huge = "…\n  attachments.n: the number has the exponent 9999999, allowed are -400 to 400\n"
	w.run(t, "task", "create", "Demo", "--set", "n=1e9999999").check(t, 3, "", huge)
	w.Host.Behave = controllertest.ForEver
	w.run(t, "task", "create", "Demo", "--id", "a").check(t, 0, "task a created\n", "")
	w.run(t, "task", "update", "a", "--set", "n=1e9999999").check(t, 3, "", huge)
	s := w.shell
	s.in = `{"className":"Demo","survive":true}`
	s.run(t, "task", "create", "-f", "-").check(t, 3, "", "…\n  survive: is not supported yet")
	w.run(t, "task", "list", "--token", "wrong").check(t, 3, "", "…--token or SKALDS_TOKEN")
}

func TestExitCodes(t *testing.T) {
	for want, err := range map[int]error{
		0: nil, 1: errors.New("x"), 3: skalds.Errorf(skalds.CodeTooLarge, "x"), 4: fmt.Errorf("x: %w", skalds.ErrNotFound),
		5: errors.Join(skalds.ErrConflict, skalds.ErrNotFound), 6: skalds.ErrUnavailable, 130: context.Canceled,
	} {
		if got := cli.ExitCode(err); got != want {
			t.Errorf("%v is %d, want %d", err, got, want)
		}
	}
}

// What workers and cameras say must not reach the terminal as control sequences, nor break a line.
func TestErrorsStayOnTheirLine(t *testing.T) {
	var b strings.Builder
	inner := &skalds.Error{Code: skalds.CodeInvalid, Message: "it does not\x1b[2J fit", Fields: []skalds.FieldError{{Field: "a", Message: "one\ntwo"}}}
	cli.PrintError(&b, fmt.Errorf("create: %w", inner))
	if want := "skalds: create: it does not [2J fit\n  a: one two\n"; b.String() != want {
		t.Errorf("printed %q, want %q", b.String(), want)
	}
}
