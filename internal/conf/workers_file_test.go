package conf_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "workers.yml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

const everything = `# our cameras
TaskWorkers:
  hall:
    className: RTSPRecorder
    attachments:
      rtspUrl: rtsp://user:${secret:CAM}@10.0.0.5/s   # main entrance
      fixFrame: 30
      since: 2026-01-01
      nested: {a: [1, 2.50, true, ~]}
    isPersistent: false
    name: The hall
    description: what it does
    version: ^1.2
    priority: 7
    resources: {cpuCores: 500m, memoryBytes: 64MiB}
    limits:
      cpuCores: 1.5
      memoryBytes: 128MiB
      pids: 50
      ioWeight: 200
    retry: {maxAttempts: -1, initialDelay: 2s, maxDelay: 1m, factor: 1.5, oom: {maxAttempts: 5, factor: 2, maxMemoryBytes: 1GiB}}
    timeouts: {queue: 1h, start: 20s, run: 24h, stall: 5s}
    isolation:
      user: 1000:1000
      namespaces: [pid, net]
      paths:
        readOnly: [/data]
        readWrite: [/var/tmp/hall]
      noNewPrivileges: true
    labels: {site: north}
    constraints: ["zone=a", "gpu"]
    onDisconnect: keep
  yard:
    className: RTSPRecorder
`

func TestLoadWorkersReadsEverything(t *testing.T) {
	f, err := conf.LoadWorkers(write(t, everything))
	if err != nil {
		t.Fatal(err)
	}
	want := skalds.Spec{
		ID: "hall", ClassName: "RTSPRecorder", Name: "The hall", Description: "what it does", Mode: skalds.ModeActive, Priority: 7,
		Version:     "^1.2",
		Attachments: []byte(`{"fixFrame":30,"nested":{"a":[1,2.50,true,null]},"rtspUrl":"rtsp://user:${secret:CAM}@10.0.0.5/s","since":"2026-01-01"}`),
		Resources:   skalds.Resources{CPUCores: 0.5, MemoryBytes: 64 << 20},
		Limits:      skalds.Limits{CPUCores: 1.5, MemoryBytes: 128 << 20, PIDs: 50, IOWeight: 200},
		Retry: skalds.Retry{
			MaxAttempts: -1, InitialDelay: skalds.Duration(2 * time.Second), MaxDelay: skalds.Duration(time.Minute), Factor: 1.5,
			OOM: &skalds.OOMRetry{MaxAttempts: 5, Factor: 2, MaxMemoryBytes: 1 << 30},
		},
		Timeouts: skalds.Timeouts{
			Queue: skalds.Duration(time.Hour), Start: skalds.Duration(20 * time.Second), Run: skalds.Duration(24 * time.Hour), Stall: skalds.Duration(5 * time.Second),
		},
		Isolation: skalds.Isolation{
			User: "1000:1000", Namespaces: []skalds.Namespace{skalds.NamespacePID, skalds.NamespaceNet},
			Paths: &skalds.Paths{ReadOnly: []string{"/data"}, ReadWrite: []string{"/var/tmp/hall"}}, NoNewPrivileges: true,
		},
		Labels: map[string]string{"site": "north"}, Constraints: []string{"zone=a", "gpu"}, OnDisconnect: skalds.OnDisconnectKeep,
	}
	if len(f.Entries) != 2 || f.Entries[0].Err != nil || f.Entries[1].Err != nil {
		t.Fatalf("entries: %+v", f.Entries)
	}
	if diff := cmp.Diff(want, f.Entries[0].Spec); diff != "" {
		t.Error(diff)
	}
	if f.Entries[0].Line != 3 {
		t.Errorf("line %d", f.Entries[0].Line)
	}
	if diff := cmp.Diff(skalds.Spec{ID: "yard", ClassName: "RTSPRecorder", Mode: skalds.ModeActive, IsPersistent: true}, f.Entries[1].Spec); diff != "" {
		t.Error(diff)
	}
}

func TestLoadWorkersForms(t *testing.T) {
	for name, text := range map[string]string{
		"map":     "TaskWorkers:\n  a: {className: X, attachments: {n: 1}}\n  b: {className: X}\n",
		"list":    "TaskWorkers:\n- id: a\n  className: X\n  attachments: {n: 1}\n- {id: b, className: X}\n",
		"anchors": "x-base: &base {className: X}\nTaskWorkers:\n  a:\n    <<: *base\n    attachments: {n: 1}\n  b: *base\n",
		"crlf":    "TaskWorkers:\r\n  a:\r\n    className: X\r\n    attachments:\r\n      n: 1\r\n  b:\r\n    className: X\r\n",
		"json":    `{"TaskWorkers": {"a": {"className": "X", "attachments": {"n": 1}}, "b": {"className": "X"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			f, err := conf.LoadWorkers(write(t, text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range f.Entries {
				got = append(got, fmt.Sprint(e.Spec.ID, " ", e.Spec.ClassName, " ", string(e.Spec.Attachments), " ", e.Err))
			}
			if diff := cmp.Diff([]string{`a X {"n":1} <nil>`, "b X  <nil>"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, text := range map[string]string{"empty": "", "comment": "# nothing\n", "no task": "TaskWorkers:\n", "no task in braces": "TaskWorkers: {}\n"} {
		t.Run(name, func(t *testing.T) {
			f, err := conf.LoadWorkers(write(t, text))
			if err != nil || len(f.Entries) != 0 {
				t.Errorf("%v, %v", f, err)
			}
		})
	}
}

func TestLoadWorkersRefusesAFileAsAWhole(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"syntax":                       {"TaskWorkers:\n  a:\n    className: [X\n  b: 1\n", "workers.yml:"},
		"indent of three":              {"TaskWorkers:\n  a:\n    className: X\n   bad: 1\n  b:\n    className: Y\n", "workers.yml:4:4: this is no YAML: did not find expected key"},
		"indent of one":                {"# c\n\nTaskWorkers:\n  a:\n    className: X\n bad: 1\n", "workers.yml:6:2: this is no YAML: did not find expected key"},
		"list and key":                 {"TaskWorkers:\n  - id: a\n  className: X\n", "workers.yml:3:3: this is no YAML: did not find expected '-' indicator"},
		"open quote":                   {"TaskWorkers:\n  a:\n    className: 'X\n  b:\n    className: Y\n", "workers.yml:3:5: this is no YAML: found unexpected end of stream"},
		"no such anchor":               {"TaskWorkers:\n  a:\n    className: *x\n  b:\n    className: Y\n", "workers.yml:3:5: this is no YAML: unknown anchor 'x' referenced"},
		"fault of the second document": {"TaskWorkers: {}\n---\na: 1\nb: @\n", "workers.yml:4:1: this is no YAML"},
		"tab":                          {"TaskWorkers:\n  a:\n\t\tclassName: X\n", "workers.yml:3:1: this is no YAML"},
		"typo":                         {"TaskWorker:\n  a: {className: X}\n", "workers.yml:1:1: unknown key TaskWorker: did you mean TaskWorkers?"},
		"text":                         {"hello\n", "begins with TaskWorkers"},
		"scalar":                       {"TaskWorkers: 3\n", "workers.yml:1:14: TaskWorkers: must hold tasks"},
		"two documents":                {"TaskWorkers: {}\n---\nTaskWorkers: {}\n", "a second document"},
		"twice":                        {"TaskWorkers: {}\nTaskWorkers: {}\n", "workers.yml:2:1: TaskWorkers is there twice"},
		"unknown anchor":               {"TaskWorkers: *nobody\n", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := conf.LoadWorkers(write(t, c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
			var f *conf.Fault
			if !errors.As(err, &f) || f.Line == 0 || f.Column == 0 {
				t.Errorf("%v has no place", err)
			}
		})
	}
	if _, err := conf.LoadWorkers(filepath.Join(t.TempDir(), "none.yml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestLoadWorkersRefusesOneEntry(t *testing.T) {
	for name, c := range map[string]struct{ entry, want string }{
		"unknown key":      {"{className: X, attachment: {}}", "TaskWorkers.bad.attachment: unknown key: did you mean attachments?"},
		"snake case":       {"{class_name: X}", "did you mean className?"},
		"far away":         {"{className: X, colour: red}", "unknown key: known here are attachments, className"},
		"deep":             {"{className: X, limits: {memory: 1GiB}}", "TaskWorkers.bad.limits.memory: unknown key: known here are cpuCores, ioWeight, memoryBytes, pids"},
		"no class":         {"{attachments: {}}", "TaskWorkers.bad.className: is missing"},
		"nothing":          {"", "TaskWorkers.bad: must be a mapping"},
		"oom":              {"{className: X, retry: {oom: 3}}", "TaskWorkers.bad.retry.oom: must be a mapping"},
		"oom key":          {"{className: X, retry: {oom: {max: 3}}}", "TaskWorkers.bad.retry.oom.max: unknown key: known here are factor, maxAttempts, maxMemoryBytes"},
		"oom factor":       {"{className: X, retry: {oom: {factor: 0.5}}}", "TaskWorkers.bad.retry.oom.factor: must be from 1"},
		"oom cap":          {"{className: X, limits: {memoryBytes: 1GiB}, retry: {oom: {maxMemoryBytes: 1MiB}}}", "TaskWorkers.bad.retry.oom.maxMemoryBytes: is less than limits.memoryBytes"},
		"io weight":        {"{className: X, limits: {ioWeight: 10001}}", "TaskWorkers.bad.limits.ioWeight: 10001 is outside 1–10000"},
		"size":             {"{className: X, limits: {memoryBytes: 128M}}", `size "128M" is not of the form 128MiB`},
		"duration":         {"{className: X, timeouts: {run: 30}}", "has no unit"},
		"priority":         {"{className: X, priority: 11}", "workers.yml:4:33: TaskWorkers.bad.priority: 11 is outside"},
		"bool":             {"{className: X, isPersistent: maybe}", "neither true nor false"},
		"attachments list": {"{className: X, attachments: [1]}", "must be a mapping"},
		"attachment twice": {"{className: X, attachments: {a: 1, a: 2}}", "the key a is there twice"},
		"infinite":         {"{className: X, attachments: {a: .inf}}", "no number that JSON knows"},
		"key twice":        {"{className: X, className: Y}", "this key is there twice"},
		"survive":          {"{className: X, survive: true}", "not supported yet"},
		"onDisconnect":     {"{className: X, onDisconnect: drop}", "neither stop nor keep"},
		"constraint":       {"{className: X, constraints: [\"=\"]}", "no constraint"},
		"isolation":        {"{className: X, isolation: {paths: {read: [/a]}}}", "TaskWorkers.bad.isolation.paths.read: unknown key: known here are readOnly, readWrite"},
		"no list of paths": {"{className: X, isolation: {paths: {readOnly: /a}}}", "TaskWorkers.bad.isolation.paths.readOnly: must be a list"},
		"two at once":      {"{className: X, priority: 99, attachment: 1}", "unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := conf.LoadWorkers(write(t, "TaskWorkers:\n  good: {className: X}\n\n  bad: "+c.entry+"\n  also: {className: X}\n"))
			if err != nil {
				t.Fatal(err)
			}
			if len(f.Entries) != 3 || f.Entries[0].Err != nil || f.Entries[2].Err != nil {
				t.Fatalf("the others: %+v", f.Entries)
			}
			bad := f.Entries[1]
			if bad.Err == nil || !strings.Contains(bad.Err.Error(), c.want) || !strings.Contains(bad.Err.Error(), "workers.yml:4:") {
				t.Errorf("got %v, want workers.yml:4:…%s…", bad.Err, c.want)
			}
			if bad.Spec.ID != "bad" || bad.Line != 4 {
				t.Errorf("%+v", bad)
			}
		})
	}
	t.Run("every fault of an isolation has its line", func(t *testing.T) {
		f, err := conf.LoadWorkers(write(t, `TaskWorkers:
  a:
    className: X
    isolation:
      user: root
      namespaces:
      - pid
      - ipc
      paths:
        readOnly: [/ok]
        readWrite:
        - /ok/too
        - not/ok
`))
		if err != nil || len(f.Entries) != 1 {
			t.Fatalf("%+v %v", f, err)
		}
		got := fmt.Sprint(f.Entries[0].Err)
		for _, want := range []string{
			"workers.yml:5:13: TaskWorkers.a.isolation.user: is root", `workers.yml:8:9: TaskWorkers.a.isolation.namespaces.1: "ipc" is none of`,
			`workers.yml:13:11: TaskWorkers.a.isolation.paths.readWrite.1: "not/ok" is not absolute`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s\nsays nothing of %s", got, want)
			}
		}
	})
	t.Run("no paths at all", func(t *testing.T) {
		f, err := conf.LoadWorkers(write(t, "TaskWorkers:\n  a: {className: X, isolation: {paths: {}}}\n"))
		if err != nil || f.Err() != nil || f.Entries[0].Spec.Isolation.Paths == nil {
			t.Errorf("%+v %v", f, err)
		}
	})
	t.Run("id twice", func(t *testing.T) {
		f, err := conf.LoadWorkers(write(t, "TaskWorkers:\n  a: {className: X}\n  a: {className: Y}\n"))
		if err != nil || len(f.Entries) != 2 || f.Entries[0].Err != nil || !strings.Contains(fmt.Sprint(f.Entries[1].Err), "used already on line 2") {
			t.Errorf("%+v %v", f, err)
		}
	})
	t.Run("bad id", func(t *testing.T) {
		f, err := conf.LoadWorkers(write(t, "TaskWorkers:\n  \"..\": {className: X}\n  \"\": {className: X}\n"))
		if err != nil || f.Entries[0].Err == nil || f.Entries[1].Err == nil {
			t.Errorf("%+v %v", f, err)
		}
	})
}

func TestLoadWorkersIsNotBlownUpByAliases(t *testing.T) {
	text := "x-a: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
	for i := range 9 {
		text += fmt.Sprintf("x-%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i+1, i, i, i, i, i, i, i, i, i, i)
	}
	f, err := conf.LoadWorkers(write(t, text+"TaskWorkers:\n  a: {className: X, attachments: {big: *a9}}\n"))
	if err != nil || len(f.Entries) != 1 || f.Entries[0].Err == nil {
		t.Errorf("%+v %v", f, err)
	}
}

func FuzzLoadWorkers(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte("TaskWorkers:\n- id: a\n  className: X\n"))
	f.Add([]byte("x: &a [*a]\nTaskWorkers: {a: *a}\n"))
	f.Add([]byte("TaskWorkers:\n  a: &a {className: X, <<: *a, attachments: *a}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := write(t, string(text))
		file, err := conf.LoadWorkers(path)
		if err != nil {
			return
		}
		for _, e := range file.Entries {
			if e.Err != nil || e.Spec.ID == "" {
				continue
			}
			if err := e.Spec.Validate(); err != nil {
				t.Errorf("accepted what is wrong: %v", err)
			}
			// Whatever was read can be replaced and then reads as what was written, or is refused.
			if err := conf.WriteAttachments(path, e.Spec.ID, []byte(`{"n":1,"s":"x: y"}`)); err != nil {
				continue
			}
			again, err := conf.LoadWorkers(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range again.Entries {
				if a.Spec.ID == e.Spec.ID && a.Err == nil && skalds.ContentHash(a.Spec.Attachments) != skalds.ContentHash([]byte(`{"n":1,"s":"x: y"}`)) {
					t.Errorf("wrote, then read %s", a.Spec.Attachments)
				}
			}
		}
	})
}

// A fault that is found when an entry is used still knows its line.
func TestEntryFault(t *testing.T) {
	path := write(t, `x-common: &common
  fps: 25
TaskWorkers:
  a:
    className: Camera
    attachments:
      url: rtsp://x
      parts:
        - name: one
        - {name: two}
  b: {className: Camera}
`)
	f, err := conf.LoadWorkers(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		entry       int
		field, want string
	}{
		{0, "attachments.url", "7:12: TaskWorkers.a.attachments.url: is wrong"},
		{0, "attachments.parts.1.name", "10:18: TaskWorkers.a.attachments.parts.1.name: is wrong"},
		{0, "attachments.parts.7.name", "9:9: TaskWorkers.a.attachments.parts.7.name: is wrong"},
		{0, "attachments.missing", "7:7: TaskWorkers.a.attachments.missing: is wrong"},
		{0, "className", "5:16: TaskWorkers.a.className: is wrong"},
		{1, "attachments.url", "11:3: TaskWorkers.b.attachments.url: is wrong"},
		{1, "", "11:3: TaskWorkers.b: is wrong"},
	} {
		if got, want := f.Entries[tt.entry].Fault(tt.field, "is wrong").Error(), path+":"+tt.want; got != want {
			t.Errorf("%s: %s, want %s", tt.field, got, want)
		}
	}
	if got := (conf.WorkerEntry{}).Fault("x", "is wrong").What(); got != "TaskWorkers..x: is wrong" {
		t.Errorf("an entry of no file: %s", got)
	}
}

// What no message to a controller can hold is found when the file is read, with its place.
func TestLoadWorkersBoundsEveryField(t *testing.T) {
	path := write(t, "TaskWorkers:\n  a:\n    className: X\n    description: "+strings.Repeat("x", 300<<10)+"\n  b: {className: X}\n")
	f, err := conf.LoadWorkers(path)
	if err != nil || len(f.Entries) != 2 || f.Entries[1].Err != nil {
		t.Fatalf("%+v, %v", f, err)
	}
	if err := f.Entries[0].Err; err == nil || !strings.HasPrefix(err.Error(), path+":4:18: TaskWorkers.a.description: 307202 bytes") {
		t.Errorf("%.200v", err)
	}
}
