package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/scaffold"
)

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks are the code blocks of a language in a text, with the heading of the section that each stands in.
func blocks(text, language string) (out []struct{ section, code string }) {
	for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
		if text[at[2]:at[3]] != language {
			continue
		}
		section := text[:at[0]]
		if i := strings.LastIndex(section, "\n## "); i >= 0 {
			section, _, _ = strings.Cut(section[i+4:], "\n")
		} else {
			section = ""
		}
		out = append(out, struct{ section, code string }{section, text[at[4]:at[5]]})
	}
	return out
}

// TestReadme follows the README: what it says to type is typed, in one shell, beside a running demo.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	plugins := copyPlugins(t, filepath.Join(dir, "plugins"))
	for _, w := range []string{"simple-worker"} {
		if err := build(filepath.Join(root, "examples", w), filepath.Join(plugins, w, "0.1.0", w), "."); err != nil {
			t.Fatal(err)
		}
	}
	p := standaloneWith(t, filepath.Join(dir, "data"), 3, "--workers", copyDemo(t, dir), "--plugins", plugins)
	p.runs("front-door")
	script := "set -euo pipefail\n"
	for _, b := range blocks(string(readme), "sh") {
		if b.section == "" {
			continue // the two commands: CI runs them
		}
		script += b.code
	}
	for old, now := range map[string]string{
		"http://127.0.0.1:8000": p.Server(), "$PWD/bin/plugins": plugins, "PATH=$PWD/bin": "PATH=" + filepath.Dir(built.skalds),
		"../my-worker": filepath.Join(dir, "my-worker"),
	} {
		if !strings.Contains(script, old) {
			t.Errorf("the README does not say %s any more", old)
		}
		script = strings.ReplaceAll(script, old, now)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-c", script)
	c.Dir = root
	c.Env = append(os.Environ(), "SKALDS_SERVER="+p.Server(), "SKALDS_SDK="+filepath.Join(root, "plugin-sdk"), "GOFLAGS=-mod=mod")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.until("the death by kill -9 is reported", func(ctx context.Context) bool {
		attempts, err := p.Attempts(ctx, "hello")
		return err == nil && len(attempts) > 0 && attempts[0].Exit != nil && attempts[0].Exit.Kind == skalds.ExitSignal
	})
	for _, want := range []string{"third-eye", "Cancelled", "Finished"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the commands do not print %q:\n%s", want, out)
		}
	}
	if r := p.ends("mine"); !strings.Contains(string(r.Result), `"messages":2`) {
		t.Errorf("the new worker's task ended with %s", r.Result)
	}
}

// TestReadmeWorker compares the worker that the README shows with the one that `skalds worker new` writes.
func TestReadmeWorker(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "my-worker")
	if err := scaffold.New(dir, "", "Hello", "../../plugin-sdk"); err != nil {
		t.Fatal(err)
	}
	main, err := os.ReadFile(filepath.Join(dir, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	shown := blocks(string(readme), "go")
	if len(shown) != 1 || !strings.HasSuffix(string(main), shown[0].code) {
		t.Errorf("the README shows another worker than this:\n%s", main)
	}
}

// copyPlugins copies the plugins folder, for a test that adds to it.
func copyPlugins(t *testing.T, to string) string {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(built.plugins)); err != nil {
		t.Fatal(err)
	}
	return to
}

// copyDemo copies the demo's workers file to where a host may write.
func copyDemo(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile("../../examples/demo/workers.yml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "workers.yml")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
