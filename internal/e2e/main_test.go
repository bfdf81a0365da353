package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// built is where TestMain has put the program, and the plugins folder that standalones of the tests share. tmp is the
// programs' folder for what is temporary: those that are killed leave sockets there. Its path is short, as those of sockets
// have to be.
var built struct{ dir, tmp, skalds, plugins string }

// The test binary is also a worker: copied into the plugins folder, it serves the scripted classes.
func TestMain(m *testing.M) {
	if os.Getenv(protocol.EnvCookieKey) != "" || (len(os.Args) == 2 && os.Args[1] == "describe") {
		serveScripted()
		return
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "skalds-e2e-")
	if err != nil {
		return complain(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if built.tmp, err = os.MkdirTemp("/tmp", "e2e-"); err != nil {
		return complain(err)
	}
	defer func() { _ = os.RemoveAll(built.tmp) }()
	for _, folder := range []string{dir, built.tmp} { // tasks of other users pass through
		if err := os.Chmod(folder, 0o711); err != nil {
			return complain(err)
		}
	}
	built.dir = dir
	built.skalds, built.plugins = filepath.Join(dir, "skalds"), filepath.Join(dir, "plugins")
	if err := build("../..", built.skalds, "./cmd/skalds"); err != nil {
		return complain(err)
	}
	rtsp := filepath.Join(built.plugins, "rtsp-worker", "0.1.0", "rtsp-worker")
	if err := build("../../examples/rtsp-worker", rtsp, "."); err != nil {
		return complain(err)
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		return complain(err)
	}
	scripted := filepath.Join(built.plugins, scriptedName, scriptedVersion, scriptedName)
	if err := os.MkdirAll(filepath.Dir(scripted), 0o755); err != nil {
		return complain(err)
	}
	if err := os.WriteFile(scripted, self, 0o555); err != nil {
		return complain(err)
	}
	code := m.Run()
	if left := processesOf(dir); code == 0 && len(left) > 0 {
		return complain(fmt.Errorf("processes were left behind:\n%s", strings.Join(left, "\n")))
	}
	return code
}

// build compiles as the Makefile does.
func build(module, out, pkg string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	c := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
	c.Dir = module
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s of %s: %w\n%s", pkg, module, err, text)
	}
	return nil
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// processesOf lists live processes whose executable lies below dir.
func processesOf(dir string) (out []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(exe, dir+"/") {
			continue
		}
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		out = append(out, filepath.Base(filepath.Dir(link))+" "+strings.ReplaceAll(string(args), "\x00", " "))
	}
	return out
}
