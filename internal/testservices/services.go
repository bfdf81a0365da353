package testservices

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Services are real servers on this machine that belong to one test and end with it. What fails ends the test, so methods are
// called by its goroutine only.
type Services struct {
	t     testing.TB
	dir   string // of the scripts
	run   string // folder of data, logs and process ids
	env   []string
	names []string
	said  map[string]string
}

// Start starts the servers of those names, as start-services.sh calls them ("kafka", "kafka-2", "redis", "mongo"), and waits until
// they listen. env is added to the environment of that script: ports above all, see FreePorts. Where SKALDS_TEST_SERVICES does not
// name the folder of the script, or this machine can get no such server, the test is skipped.
func Start(t testing.TB, names []string, env ...string) *Services {
	t.Helper()
	return StartIn(t, filepath.Join(t.TempDir(), "services"), names, env...)
}

// StartIn is Start with a folder that may hold certificates (tls) and a password already.
func StartIn(t testing.TB, folder string, names []string, env ...string) *Services {
	t.Helper()
	dir := os.Getenv("SKALDS_TEST_SERVICES")
	if dir == "" {
		t.Skipf("SKALDS_TEST_SERVICES is not set: it names the folder of start-services.sh, to start %s for this test", strings.Join(names, ", "))
	}
	s := &Services{t: t, dir: dir, run: folder, names: names}
	s.env = append(append(os.Environ(), "SERVICES_RUN="+s.run), env...)
	t.Cleanup(func() {
		records, _ := filepath.Glob(s.record("*")) // of further brokers, too
		for _, r := range records {
			if pid, err := pid(r); err == nil {
				_ = syscall.Kill(pid, syscall.SIGCONT) // what stands still does not end
			}
		}
		s.script("stop-services.sh", names...)
	})
	s.Start()
	return s
}

// Start starts those servers that have ended, of all or of the given ones, with what they have kept.
func (s *Services) Start(names ...string) {
	s.t.Helper()
	if len(names) == 0 {
		names = s.names
	}
	s.said = map[string]string{}
	for line := range strings.Lines(s.script("start-services.sh", names...)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		s.said[name] = value
	}
}

// Stop ends all servers in order; what they keep stays.
func (s *Services) Stop() { s.t.Helper(); s.script("stop-services.sh", s.names...) }

// Wipe ends all servers and removes what they keep.
func (s *Services) Wipe() {
	s.t.Helper()
	s.script("stop-services.sh", append([]string{"--wipe"}, s.names...)...)
}

// Folder is where the servers keep what they have, and their certificates.
func (s *Services) Folder() string { return s.run }

// Said is what the last start has printed under a name, as REDIS_ADDR; "" for what was not printed.
func (s *Services) Said(name string) string { return s.said[name] }

// Signal sends a signal to the process of a server: SIGKILL, or SIGSTOP, with which its connections stay.
func (s *Services) Signal(name string, signal syscall.Signal) {
	s.t.Helper()
	id, err := pid(s.record(name))
	if err == nil {
		err = syscall.Kill(id, signal)
	}
	if err != nil {
		s.t.Fatalf("signal %s: %v", name, err)
	}
}

// record is where the scripts keep the process id of a server.
func (s *Services) record(name string) string { return filepath.Join(s.run, name+".pid") }

func pid(record string) (int, error) {
	text, err := os.ReadFile(record)
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	id, err := strconv.Atoi(first)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", record, err)
	}
	return id, nil
}

func (s *Services) script(name string, args ...string) string {
	s.t.Helper()
	c := exec.Command(filepath.Join(s.dir, name), args...)
	c.Env = s.env
	var out, faults strings.Builder
	c.Stdout, c.Stderr = &out, &faults
	if err := c.Run(); err != nil {
		if strings.Contains(faults.String(), "no mirror of Debian") {
			s.t.Skipf("this machine gets no such server: %s", faults.String())
		}
		s.t.Fatalf("%s: %v\n%s", name, err, faults.String())
	}
	return out.String()
}
