package pluginstest

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// Asked reports whether this process was started as a worker, to serve or to describe itself, and not to run tests.
func Asked() bool {
	return os.Getenv(protocol.EnvCookieKey) != "" || len(os.Args) == 2 && os.Args[1] == "describe"
}

// Install puts the test binary into a folder of workers under the name and version, and returns its path.
func Install(t testing.TB, dir, name, version string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name, version, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Link(self, path) == nil {
		return path
	}
	err = copyProgram(self, path) // on another disk
	if errors.Is(err, os.ErrPermission) {
		err = copyProgram("/proc/self/exe", path) // it lies in a folder that is closed to this user
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
