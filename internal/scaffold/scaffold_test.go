package scaffold_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skalds-go/skalds/internal/scaffold"
)

const sdk = "../../plugin-sdk"

// run runs a program in dir as an author would: with no workspace around.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOPROXY=off") // whatever is not in go.sum is an error
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestNewWorkerBuildsRunsAndTests(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hello worker") // a blank, to see that nothing minds
	if err := scaffold.New(dir, "example.com/me/hello-worker", "greeter.v2", sdk); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, dir, "go", "build", "-o", "hello-worker", ".")
	if out := run(t, dir, "./hello-worker", "describe"); !strings.Contains(out, `"className": "greeter.v2"`) || !strings.Contains(out, `"name": "hello-worker"`) {
		t.Errorf("describe says %s", out)
	}
	if out := run(t, dir, "./hello-worker", "run", "--attachments", `{"message":"hi there","times":1}`); !strings.Contains(out, "hi there") || !strings.Contains(out, `{"messages":1}`) {
		t.Errorf("run says %s", out)
	}
	run(t, dir, "go", "vet", ".")
	run(t, dir, "go", "test", ".")
	if out := run(t, dir, "gofmt", "-l", "."); out != "" {
		t.Errorf("not formatted: %s", out)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "go.sum")); string(after) != string(before) {
		t.Error("go.sum was not complete")
	}
	main, err := os.ReadFile(filepath.Join(dir, "main.go"))
	if n := strings.Count(string(main), "\n"); err != nil || n > 50 {
		t.Errorf("main.go has %d lines, %v", n, err)
	}
}

func TestNewWorkerRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "precious"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(full, "precious")
	tests := []struct{ name, dir, module, class, sdk, want string }{
		{"a folder with something in it", full, "m", "C", sdk, "is not empty (it has precious)"},
		{"a file", file, "m", "C", sdk, "not a directory"},
		{"a class that is no name", filepath.Join(full, "a"), "m", "a b", sdk, `"a b" cannot be the name of a class`},
		{"a module that is no path", filepath.Join(full, "a"), "m m", "C", sdk, `"m m" cannot be the path of a Go module`},
		{"no SDK", filepath.Join(full, "a"), "m", "C", "", "say where the SDK is"},
		{"another module", filepath.Join(full, "a"), "m", "C", "../..", "is not the SDK's source"},
		{"no module", filepath.Join(full, "a"), "m", "C", full, "is not the SDK's source"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := scaffold.New(tt.dir, tt.module, tt.class, tt.sdk); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if entries, err := os.ReadDir(full); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestNewWorkerTakesItsNameFromTheFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "Cam-Watch")
	if err := scaffold.New(dir, "", "attachments", sdk); err != nil {
		t.Fatal(err)
	}
	main, err := os.ReadFile(filepath.Join(dir, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if s := string(main); !strings.Contains(s, `sdk.Serve("cam-watch"`) || !strings.Contains(s, "type AttachmentsWorker struct") {
		t.Errorf("main.go:\n%s", s)
	}
}
