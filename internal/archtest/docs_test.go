package archtest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// documents are the pages for people: all Markdown of the source but what others wrote and what is made into new folders.
func documents(t *testing.T) map[string]string {
	t.Helper()
	return files(t, ".md", "THIRD_PARTY_NOTICES.md", "internal/scaffold/template")
}

// goFiles are all Go files of the source.
func goFiles(t *testing.T) map[string]string {
	t.Helper()
	return files(t, ".go")
}

// files reads the files of the source with an ending, by their paths from the root.
func files(t *testing.T, ending string, without ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone meanwhile
			}
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if slices.ContainsFunc(without, func(w string) bool { return rel == w || strings.HasPrefix(rel, w+"/") }) {
			return nil
		}
		if e.IsDir() {
			if rel != "." && (strings.HasPrefix(e.Name(), ".") || e.Name() == "bin" || e.Name() == "skalds-data") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(rel, ending) {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			found[rel] = string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no file ends in %s", ending)
	}
	return found
}

var (
	fence    = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	goPath   = regexp.MustCompile(`^[a-z][a-z0-9_-]*(/[a-z0-9_-]+)*/[a-z0-9_]+\.go$`)
)

// prose is a page without its blocks of code.
func prose(page string) string { return fence.ReplaceAllString(page, "") }

func TestLinksOfDocuments(t *testing.T) {
	pages := documents(t)
	for name, page := range pages {
		for _, m := range link.FindAllStringSubmatch(prose(page), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := name
			if target != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(name), target))
				if _, err := os.Stat(filepath.Join(root, to)); err != nil {
					t.Errorf("%s: links to %s, which is not there", name, m[1])
					continue
				}
			}
			if anchor != "" && strings.HasSuffix(to, ".md") && !slices.Contains(anchors(pages[to]), anchor) {
				t.Errorf("%s: links to %s: %s has no such heading", name, m[1], to)
			}
		}
	}
}

// anchors are the names by which the headings of a page can be linked to.
func anchors(page string) (list []string) {
	for _, m := range heading.FindAllStringSubmatch(prose(page), -1) {
		list = append(list, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1]))
	}
	return list
}

func TestFilesNamedInDocuments(t *testing.T) {
	for name, page := range documents(t) {
		for _, m := range codeSpan.FindAllStringSubmatch(prose(page), -1) {
			if !goPath.MatchString(m[1]) {
				continue
			}
			_, fromRoot := os.Stat(filepath.Join(root, m[1]))
			_, beside := os.Stat(filepath.Join(root, filepath.Dir(name), m[1]))
			if fromRoot != nil && beside != nil {
				t.Errorf("%s: names %s, which is not there", name, m[1])
			}
		}
	}
}

// TestGoBlocksOfTheGuide wants every Go block of the guide for authors in a Go file, where it compiles and runs.
func TestGoBlocksOfTheGuide(t *testing.T) {
	const guide = "docs/workers.md"
	sources := goFiles(t)
	count := 0
	for _, m := range fence.FindAllStringSubmatch(documents(t)[guide], -1) {
		if m[1] != "go" {
			continue
		}
		count++
		if !stands(m[2], sources) {
			t.Errorf("%s: this block stands in no Go file:\n%s", guide, m[2])
		}
	}
	if count == 0 {
		t.Errorf("%s has no Go block", guide)
	}
}

func stands(block string, sources map[string]string) bool {
	for _, source := range sources {
		if strings.Contains("\n"+source, "\n"+block) {
			return true
		}
	}
	return false
}

// TestMessagesOfTheOperatorsTable wants every message that the page for operators explains in a string of the program.
func TestMessagesOfTheOperatorsTable(t *testing.T) {
	const name, title = "docs/operations.md", "## At three in the morning\n"
	_, section, found := strings.Cut(documents(t)[name], title)
	if !found {
		t.Fatalf("%s: has no section %q", name, title)
	}
	section, _, _ = strings.Cut(section, "\n\nA task **waits**")
	var program strings.Builder
	for path, source := range goFiles(t) {
		if !strings.HasSuffix(path, "_test.go") {
			program.WriteString(source)
		}
	}
	count := 0
	for line := range strings.Lines(section) {
		message, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		count++
		if message, _, _ = strings.Cut(message, "`"); !strings.Contains(program.String(), message) {
			t.Errorf("%s: nothing says %q any more", name, message)
		}
	}
	if count < 10 {
		t.Errorf("%s: the table of messages has %d lines: was the section renamed?", name, count)
	}
}

// TestStatesInArchitecture wants the drawing of the states to be that above the type.
func TestStatesInArchitecture(t *testing.T) {
	source := goFiles(t)["state.go"]
	var drawing strings.Builder
	for line := range strings.Lines(source) {
		if drawn, ok := strings.CutPrefix(line, "//\t"); ok {
			drawing.WriteString(drawn)
		}
	}
	if drawing.Len() == 0 {
		t.Fatal("state.go has no drawing")
	}
	if !strings.Contains(documents(t)["docs/architecture.md"], "```\n"+drawing.String()+"```") {
		t.Errorf("docs/architecture.md draws the states otherwise than state.go:\n%s", drawing.String())
	}
}
