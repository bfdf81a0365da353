package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// onThisMachine gives a tree of the real kernel, or skips.
func onThisMachine(t testing.TB) *Tree {
	t.Helper()
	tree, err := Detect(Config{Name: fmt.Sprintf("skalds-test-%d", os.Getpid())})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := tree.Remove(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob("/sys/fs/cgroup/*/skalds-test-*"); len(left) > 0 && strings.Contains(left[0], fmt.Sprint(os.Getpid())) {
			t.Errorf("left: %v", left)
		}
	})
	return tree
}

func newGroup(t testing.TB, tree *Tree, l Limits) *Group {
	t.Helper()
	g, err := tree.New(strings.ReplaceAll(t.Name(), "/", "-"), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Kill(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	})
	return g
}
