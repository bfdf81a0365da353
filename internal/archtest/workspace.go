package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// systems are those whose files are looked at; their imports are added up.
var systems = []string{"linux", "darwin"}

// Workspace reads the packages of all modules that the go.work in dir names.
func Workspace(ctx context.Context, dir string) ([]Package, error) {
	modules, err := Modules(ctx, dir)
	if err != nil {
		return nil, err
	}
	patterns := make([]string, len(modules))
	for i, m := range modules {
		patterns[i] = "./" + filepath.ToSlash(filepath.Join(m, "..."))
	}
	merged := map[string]*Package{}
	for _, goos := range systems {
		if err := list(ctx, dir, goos, patterns, merged); err != nil {
			return nil, err
		}
	}
	packages := make([]Package, 0, len(merged))
	for _, p := range merged {
		for _, s := range []*[]string{&p.Files, &p.Imports, &p.TestImports, &p.Deps} {
			slices.Sort(*s)
			*s = slices.Compact(*s)
		}
		packages = append(packages, *p)
	}
	slices.SortFunc(packages, func(a, b Package) int { return strings.Compare(a.Path, b.Path) })
	return packages, nil
}

func list(ctx context.Context, dir, goos string, patterns []string, merged map[string]*Package) error {
	out, err := goCommand(ctx, dir, goos, append([]string{"list", "-json=ImportPath,Module,GoFiles,Imports,TestImports,XTestImports,Deps"}, patterns...)...)
	if err != nil {
		return err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l struct {
			ImportPath                                        string
			Module                                            struct{ Path string }
			GoFiles, Imports, TestImports, XTestImports, Deps []string
		}
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what go list prints: %w", err)
		}
		p := merged[l.ImportPath]
		if p == nil {
			p = &Package{Path: l.ImportPath, Module: l.Module.Path}
			merged[l.ImportPath] = p
		}
		p.Files = append(p.Files, l.GoFiles...)
		p.Imports = append(p.Imports, l.Imports...)
		p.TestImports = slices.Concat(p.TestImports, l.TestImports, l.XTestImports)
		p.Deps = append(p.Deps, l.Deps...)
	}
}

// Modules returns the folders of the modules of the go.work in dir, relative to it.
func Modules(ctx context.Context, dir string) ([]string, error) {
	out, err := goCommand(ctx, dir, "", "work", "edit", "-json")
	if err != nil {
		return nil, err
	}
	var work struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal(out, &work); err != nil {
		return nil, fmt.Errorf("read go.work: %w", err)
	}
	var modules []string
	for _, u := range work.Use {
		modules = append(modules, filepath.Clean(u.DiskPath))
	}
	slices.Sort(modules)
	return modules, nil
}

// ModulesOnDisk returns the folders below dir that hold a go.mod, relative to it. It looks into every folder of the
// source, which also tells `go test` on what its cached result depends: what `go list` reads it cannot see.
func ModulesOnDisk(dir string) ([]string, error) {
	var modules []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
			return nil
		case err != nil:
			return err
		case e.IsDir() && p != dir && (strings.HasPrefix(e.Name(), ".") || slices.Contains(noSource, e.Name())):
			return fs.SkipDir
		case e.Name() == "go.mod":
			m, err := filepath.Rel(dir, filepath.Dir(p))
			modules = append(modules, m)
			return err
		}
		return nil
	})
	slices.Sort(modules)
	return modules, err
}

// noSource are folders without packages: they hold what tests read, what make builds and what a program writes.
var noSource = []string{"bin", "skalds-data", "testdata"}

func goCommand(ctx context.Context, dir, goos string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=")
	if goos != "" {
		c.Env = append(c.Env, "GOOS="+goos)
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
