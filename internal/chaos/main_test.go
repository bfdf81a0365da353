//go:build linux

package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// built is where TestMain has put the program and the plugins folder. tmp is the programs' folder for what is temporary; its path is
// short, as those of sockets have to be.
var built struct{ dir, tmp, skalds, plugins string }

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "skalds-chaos-")
	if err != nil {
		return complain(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if built.tmp, err = os.MkdirTemp("/tmp", "chaos-"); err != nil {
		return complain(err)
	}
	defer func() { _ = os.RemoveAll(built.tmp) }()
	built.dir, built.skalds, built.plugins = dir, filepath.Join(dir, "skalds"), filepath.Join(dir, "plugins")
	for out, pkg := range map[string]string{
		built.skalds: "./cmd/skalds",
		filepath.Join(built.plugins, "chaos-worker", "1.0.0", "chaos-worker"): "./internal/chaos/worker",
	} {
		c := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
		c.Dir, c.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if text, err := c.CombinedOutput(); err != nil {
			return complain(fmt.Errorf("build %s: %w\n%s", pkg, err, text))
		}
	}
	return m.Run()
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "chaos:", err)
	return 1
}
