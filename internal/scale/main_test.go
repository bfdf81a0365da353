//go:build linux

package scale

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the one that is measured, built as releases are.
var program string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "skalds-scale-")
	if err != nil {
		return complain(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "skalds")
	c := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/skalds")
	c.Dir, c.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return complain(fmt.Errorf("build: %w\n%s", err, text))
	}
	return m.Run()
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "scale:", err)
	return 1
}
