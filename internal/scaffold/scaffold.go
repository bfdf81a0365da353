package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"unicode"
)

// SDK is the module that workers import.
const SDK = "github.com/skalds-go/skalds/plugin-sdk"

//go:embed template
var templates embed.FS

// facts fill the templates.
type facts struct {
	SDK   string
	Name  string // of the worker and its executable
	Class string
	Type  string // the Go type of the class
}

var (
	classPattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*$`)
	modulePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~/-]*$`)
)

// New writes a worker that offers class into dir, which must be empty or not exist. module is the Go module's path; empty
// means the folder's name. sdkReplacePath is the folder of the SDK's source, into which the replace line points.
func New(dir, module, class, sdkReplacePath string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("new worker %s: %w", dir, err)
	}
	if module == "" {
		module = strings.ToLower(filepath.Base(abs))
	}
	if !modulePattern.MatchString(module) || strings.HasSuffix(module, "/") || strings.Contains(module, "//") {
		return fmt.Errorf("new worker %s: %q cannot be the path of a Go module: use letters, digits, dots, dashes and slashes", dir, module)
	}
	if !classPattern.MatchString(class) {
		return fmt.Errorf("new worker %s: %q cannot be the name of a class: start with a letter, then letters, digits, dots, dashes and underscores", dir, class)
	}
	if err := refuseFull(abs); err != nil {
		return fmt.Errorf("new worker: %w", err)
	}
	mod, sum, err := moduleFiles(module, sdkReplacePath)
	if err != nil {
		return fmt.Errorf("new worker %s: %w", dir, err)
	}
	files := map[string][]byte{"go.mod": mod, "go.sum": sum}
	f := facts{SDK: SDK, Name: path.Base(module), Class: class, Type: typeName(class)}
	for name, source := range map[string]string{
		"main.go": "main.go.tmpl", "main_test.go": "main_test.go.tmpl", "Makefile": "Makefile.tmpl", "README.md": "README.md.tmpl",
		".gitignore": "gitignore.tmpl",
	} {
		if files[name], err = fill(source, f); err != nil {
			return fmt.Errorf("new worker %s: %w", dir, err)
		}
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return fmt.Errorf("new worker: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(abs, name), content, 0o644); err != nil {
			return fmt.Errorf("new worker: %w", err)
		}
	}
	return nil
}

func refuseFull(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty (it has %s): name a new one", dir, entries[0].Name())
	}
	return nil
}

func fill(name string, f facts) ([]byte, error) {
	t, err := template.ParseFS(templates, "template/"+name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, f); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// typeName makes a Go type's name of a class: "rtsp-recorder" becomes RtspRecorder.
func typeName(class string) string {
	var b strings.Builder
	upper := true
	for _, r := range class {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			upper = true
			continue
		}
		if upper {
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
		upper = false
	}
	name := b.String()
	if name == "Attachments" || token.IsKeyword(name) {
		name += "Worker"
	}
	return name
}
