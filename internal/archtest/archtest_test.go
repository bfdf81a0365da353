package archtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skalds-go/skalds/internal/archtest"
)

const root = "../.."

func TestArchitecture(t *testing.T) {
	packages, err := archtest.Workspace(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("imports", func(t *testing.T) {
		for _, v := range archtest.Check(packages, archtest.Rules) {
			t.Error(v)
		}
	})
	t.Run("names and doc.go", func(t *testing.T) {
		for _, m := range archtest.Misfits(packages) {
			t.Error(m)
		}
	})
	t.Run("every rule sees its wrong import", func(t *testing.T) {
		for _, r := range archtest.Rules {
			for _, place := range places(r) {
				planted := plant(packages, r.Wrong, place)
				if !violated(archtest.Check(planted, archtest.Rules), r, r.Wrong) {
					t.Errorf("rule %q: %s imports %s in its %s, and nobody minds", r.Name, r.Wrong.From, r.Wrong.To, place)
				}
			}
		}
	})
	t.Run("every rule is about somebody", func(t *testing.T) {
		for _, r := range archtest.Rules {
			for _, pattern := range slices.Concat(r.From, r.Unless) {
				if !anybody(packages, pattern) {
					t.Errorf("rule %q: no package matches %s", r.Name, pattern)
				}
			}
			for _, pattern := range r.To {
				if first, _, _ := strings.Cut(pattern, "/"); strings.Contains(first, ".") && pattern != "." && !imported(packages, pattern) {
					t.Errorf("rule %q: nothing of %s is in any program: is the path right?", r.Name, pattern)
				}
			}
		}
	})
}

func TestEveryModuleIsInTheWorkspace(t *testing.T) {
	named, err := archtest.Modules(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := archtest.ModulesOnDisk(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(onDisk, named); diff != "" {
		t.Errorf("folders with a go.mod, and those in go.work (+):\n%s", diff)
	}
}

func TestMisfits(t *testing.T) {
	packages := []archtest.Package{
		{Path: archtest.Root + "/host", Files: []string{"doc.go", "host.go"}},
		{Path: archtest.Root + "/host/util", Files: []string{"doc.go"}},
		{Path: archtest.Root + "/internal/silent", Files: []string{"silent.go"}},
		{Path: archtest.Root + "/internal/e2e"}, // tests only
		{Path: archtest.Root + "/plugin-sdk/internal/wire", Files: []string{"wire.pb.go"}},
	}
	got := archtest.Misfits(packages)
	if len(got) != 2 || !strings.Contains(got[0], "host/util: the name") || !strings.Contains(got[1], "internal/silent: has no doc.go") {
		t.Errorf("got %q", got)
	}
}

// places are the imports of a package at which a rule must look.
func places(r archtest.Rule) []string {
	switch r.Scope {
	case archtest.Both:
		return []string{"code", "tests"}
	case archtest.Deps:
		return []string{"dependencies"}
	default:
		return []string{"code"}
	}
}

// plant returns the packages with one more import.
func plant(packages []archtest.Package, e archtest.Edge, place string) []archtest.Package {
	from, to := archtest.Path(e.From), archtest.Path(e.To)
	planted := slices.Clone(packages)
	for i, p := range planted {
		if p.Path != from {
			continue
		}
		switch place {
		case "code":
			planted[i].Imports = append(slices.Clone(p.Imports), to)
		case "tests":
			planted[i].TestImports = append(slices.Clone(p.TestImports), to)
		case "dependencies":
			planted[i].Deps = append(slices.Clone(p.Deps), to)
		}
	}
	return planted
}

func violated(violations []archtest.Violation, r archtest.Rule, e archtest.Edge) bool {
	return slices.ContainsFunc(violations, func(v archtest.Violation) bool {
		return v.Rule.Name == r.Name && v.From == archtest.Path(e.From) && v.To == archtest.Path(e.To)
	})
}

func anybody(packages []archtest.Package, pattern string) bool {
	return slices.ContainsFunc(packages, func(p archtest.Package) bool { return archtest.Match(pattern, p.Path) })
}

func imported(packages []archtest.Package, pattern string) bool {
	return slices.ContainsFunc(packages, func(p archtest.Package) bool {
		return slices.ContainsFunc(slices.Concat(p.Imports, p.TestImports, p.Deps), func(to string) bool {
			return archtest.Match(pattern, to)
		})
	})
}
