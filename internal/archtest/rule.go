package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Package is what the rules look at: one package and whom it imports.
type Package struct {
	Path        string
	Module      string   // path of its module
	Files       []string // names of its Go files, without tests
	Imports     []string // of the files without tests
	TestImports []string // of its tests, inside and outside the package
	Deps        []string // all that ends up in a program that imports it
}

// Scope says which imports of a package a rule looks at.
type Scope string

// What a rule looks at.
const (
	Code Scope = "code" // what the package imports
	Both Scope = "both" // what the package and its tests import
	Deps Scope = "deps" // what the package imports, and what that imports, to the end
)

// Rule forbids imports. A pattern is a path, or a path with /... for it and all below it, or one of the words `ours`
// (packages of Skalds), `outside` (neither ours nor the standard library) and `same-module` (the importer's own module).
// Our paths are written relative to the root, which itself is ".".
type Rule struct {
	Name   string
	Why    string
	Scope  Scope
	From   []string // who must not import …
	Unless []string // … except these importers
	To     []string // … these
	Allow  []string // … except these
	Wrong  Edge     // an import that the rule must find; the test plants it
}

// Edge is an import: From imports To, both written as in a Rule.
type Edge struct{ From, To string }

// Violation is an import that a rule forbids.
type Violation struct {
	Rule Rule
	From string
	To   string
}

func (v Violation) String() string {
	how := "imports"
	if v.Rule.Scope == Deps {
		how = "depends on"
	}
	return fmt.Sprintf("%s %s %s: %s (rule %q)", v.From, how, v.To, v.Rule.Why, v.Rule.Name)
}

// Check returns what the rules forbid among the packages, in the order of the packages.
func Check(packages []Package, rules []Rule) []Violation {
	var found []Violation
	for _, p := range packages {
		for _, r := range rules {
			if !matches(r.From, p.Path, p) || matches(r.Unless, p.Path, p) {
				continue
			}
			for _, to := range r.imports(p) {
				if matches(r.To, to, p) && !matches(r.Allow, to, p) {
					found = append(found, Violation{r, p.Path, to})
				}
			}
		}
	}
	return found
}

func (r Rule) imports(p Package) []string {
	switch r.Scope {
	case Both:
		all := slices.Concat(p.Imports, p.TestImports)
		slices.Sort(all)
		// A test outside the package imports the package, which is no dependence.
		return slices.DeleteFunc(slices.Compact(all), func(to string) bool { return to == p.Path })
	case Deps:
		return p.Deps
	default:
		return p.Imports
	}
}

func matches(patterns []string, target string, importer Package) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return Match(pattern, target) || pattern == "same-module" && within(target, importer.Module)
	})
}

// Match says whether a path is one that the pattern of a Rule means, `same-module` aside.
func Match(pattern, target string) bool {
	switch pattern {
	case "ours":
		return ours(target)
	case "outside":
		first, _, _ := strings.Cut(target, "/")
		return strings.Contains(first, ".") && !ours(target)
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(target, Path(tree))
	}
	return target == Path(pattern)
}

func ours(target string) bool { return within(target, Root) }

func within(target, tree string) bool { return target == tree || strings.HasPrefix(target, tree+"/") }

// Root is the path of the root module and package.
const Root = "github.com/skalds-go/skalds"

// folders are the first elements of our paths. Any other path is not ours: the standard library's, or another's.
var folders = []string{"cmd", "controller", "host", "plugins", "plugin-sdk", "examples", "internal"}

// Path turns a path as it is written in a Rule into an import path.
func Path(p string) string {
	switch first, _, _ := strings.Cut(p, "/"); {
	case p == ".":
		return Root
	case slices.Contains(folders, first):
		return path.Join(Root, p)
	default:
		return p
	}
}

// Misfits returns the packages that have a name which says nothing, or no doc.go that says what they are. Generated
// packages need neither.
func Misfits(packages []Package) []string {
	var found []string
	for _, p := range packages {
		if slices.Contains(emptyNames, path.Base(p.Path)) {
			found = append(found, p.Path+": the name does not say what it is: name it after the one thing it holds")
		}
		generated := !slices.ContainsFunc(p.Files, func(f string) bool { return !strings.HasSuffix(f, ".pb.go") })
		if len(p.Files) > 0 && !generated && !slices.Contains(p.Files, "doc.go") {
			found = append(found, p.Path+": has no doc.go that says what it is, who calls it and what it never does")
		}
	}
	return found
}

var emptyNames = []string{
	"base", "common", "constants", "helper", "helpers", "lib", "misc", "model", "models", "shared", "type", "types", "util", "utils",
}
