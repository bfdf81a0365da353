package conf_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWriteAttachmentsKeepsTheRest(t *testing.T) {
	path := write(t, `# cameras of the north side

TaskWorkers:

  # the hall
  hall:
    className: RTSPRecorder   # do not change
    attachments:   # as agreed
      rtspUrl: 'rtsp://10.0.0.5/s'   # main entrance
      # seconds
      segmentSeconds: 60
      old: gone

    isPersistent:   true

  yard: {className: RTSPRecorder}   # in braces
`)
	if err := conf.WriteAttachments(path, "hall", []byte(`{"segmentSeconds":10,"rtspUrl":"rtsp://10.0.0.6/s","transport":"udp"}`)); err != nil {
		t.Fatal(err)
	}
	want := `# cameras of the north side

TaskWorkers:

  # the hall
  hall:
    className: RTSPRecorder   # do not change
    attachments: # as agreed
      rtspUrl: 'rtsp://10.0.0.6/s' # main entrance
      # seconds
      segmentSeconds: 10
      transport: udp

    isPersistent:   true

  yard: {className: RTSPRecorder}   # in braces
`
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Error(diff)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode: %v %v", st.Mode(), err)
	}
	names, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(names) != 1 {
		t.Errorf("left behind: %v %v", names, err)
	}
}

func TestWriteAttachmentsInEveryForm(t *testing.T) {
	const doc = `{"n":2,"s":"yes","t":"a\nb\n","u":"2026-01-01","empty":"","num":"12","deep":{"x":[{"y":null},1.50]}}`
	for name, text := range map[string]string{
		"block":          "TaskWorkers:\n  a:\n    className: X\n    attachments:\n      n: 1 # count\n  b: {className: Y}\n",
		"flow":           "TaskWorkers:\n  a:\n    className: X\n    attachments: {n: 1} # count\n  b: {className: Y}\n",
		"flow entry":     "TaskWorkers:\n  a: {className: X, attachments: {n: 1}} # count\n  b: {className: Y}\n",
		"none yet":       "TaskWorkers:\n  a: # count\n    className: X\n  b: {className: Y}\n",
		"null":           "TaskWorkers:\n  a:\n    attachments: # count\n    className: X\n  b: {className: Y}\n",
		"list":           "TaskWorkers:\n- id: a # count\n  className: X\n  attachments:\n    n: 1\n- {id: b, className: Y}\n",
		"list, first":    "TaskWorkers:\n  - attachments:\n      n: 1 # count\n    className: X\n    id: a\n  - {id: b, className: Y}\n",
		"no last line":   "TaskWorkers:\n  b: {className: Y}\n  a:\n    className: X # count\n    attachments:\n      n: 1",
		"crlf":           "TaskWorkers:\r\n  a:\r\n    className: X # count\r\n    attachments:\r\n      n: 1\r\n  b: {className: Y}\r\n",
		"multi-line":     "TaskWorkers:\n  a:\n    attachments:\n      s: |\n        one\n\n        two\n      q: 'x\n\n        y'\n    # count\n    className: X\n  b: {className: Y}\n",
		"anchor":         "TaskWorkers:\n  a:\n    attachments: &at # count\n      n: 1\n    className: X\n  b: {className: Y}\n",
		"alias":          "x-at: &at {n: 1} # count\nTaskWorkers:\n  a:\n    attachments: *at\n    className: X\n  b: {className: Y, attachments: *at}\n",
		"broken other":   "TaskWorkers:\n  a:\n    attachments: {n: 1} # count\n    className: X\n  b: {className: Y, colour: red}\n",
		"brace far left": "TaskWorkers:\n  a:\n    className: X # count\n    attachments: {\n  n: 1\n    }\n  b: {className: Y}\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, text)
			if err := conf.WriteAttachments(path, "a", []byte(doc)); err != nil {
				t.Fatal(err)
			}
			f, err := conf.LoadWorkers(path)
			if err != nil {
				t.Fatalf("%v in\n%s", err, read(t, path))
			}
			found := false
			for _, e := range f.Entries {
				if e.Spec.ID == "a" {
					found = true
					if e.Err != nil || skalds.ContentHash(e.Spec.Attachments) != skalds.ContentHash([]byte(doc)) {
						t.Errorf("%s %v", e.Spec.Attachments, e.Err)
					}
				} else if e.Spec.ClassName != "Y" {
					t.Errorf("the other: %+v", e)
				}
			}
			if !found || !strings.Contains(read(t, path), "# count") {
				t.Errorf("lost something:\n%s", read(t, path))
			}
			first := read(t, path)
			if err := conf.WriteAttachments(path, "a", []byte(doc)); err != nil || read(t, path) != first {
				t.Errorf("writing the same again changed the file: %v\n%s", err, read(t, path))
			}
		})
	}
}

func TestWriteAttachmentsRefuses(t *testing.T) {
	const text = "TaskWorkers:\n  a:\n    attachments: &at {n: 1}\n    className: X\n  b: {className: Y, attachments: *at}\n"
	t.Run("shared by an anchor", func(t *testing.T) {
		path := write(t, text)
		if err := conf.WriteAttachments(path, "a", []byte(`{"n":2}`)); err == nil {
			t.Error("no error")
		}
		if read(t, path) != text {
			t.Error("the file was changed")
		}
	})
	t.Run("entry gone", func(t *testing.T) {
		if err := conf.WriteAttachments(write(t, text), "c", []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "no such entry") {
			t.Error(err)
		}
	})
	t.Run("read-only", func(t *testing.T) {
		path := write(t, text)
		if err := os.Chmod(path, 0o444); err != nil {
			t.Fatal(err)
		}
		if err := conf.WriteAttachments(path, "a", []byte(`{}`)); !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
	})
	t.Run("syntax", func(t *testing.T) {
		path := write(t, "TaskWorkers: [\n")
		if err := conf.WriteAttachments(path, "a", []byte(`{}`)); err == nil {
			t.Error("no error")
		}
	})
	t.Run("no JSON", func(t *testing.T) {
		if err := conf.WriteAttachments(write(t, text), "a", []byte(`{`)); err == nil {
			t.Error("no error")
		}
	})
}

func TestWriteAttachmentsFollowsLinks(t *testing.T) {
	path := write(t, "TaskWorkers:\n  a: {className: X}\n")
	link := filepath.Join(t.TempDir(), "link.yml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := conf.WriteAttachments(link, "a", []byte(`{"k":2}`)); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if !strings.Contains(read(t, path), "k: 2") {
		t.Error(read(t, path))
	}
}

func TestWriteConflict(t *testing.T) {
	path := write(t, "TaskWorkers:\n  a: {className: X}\n")
	for _, c := range []struct{ id, doc string }{{"a", `{"k":1}`}, {"b", `{"k":2}`}, {"a", `{"k":3}`}} {
		if err := conf.WriteConflict(path, c.id, []byte(c.doc)); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, path+".conflict")
	_, got, _ = strings.Cut(got, "delete it.\n")
	if diff := cmp.Diff("TaskWorkers:\n  a:\n    attachments:\n      k: 3\n  b:\n    attachments:\n      k: 2\n", got); diff != "" {
		t.Error(diff)
	}
	if st, err := os.Stat(path + ".conflict"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st.Mode(), err)
	}
}
