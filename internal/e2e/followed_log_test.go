package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/testlog"
)

// A log that is followed goes on over the death and the restart of the controller, and no line is lost or said twice.
func TestFollowedLogOverARestart(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	p := standalone(t, dir, "--listen", address)
	start(t, dir, "host", "--mode", "node", "--join", filepath.Join(dir, "join.json"), "--data-dir", filepath.Join(dir, "second"), "--labels", "zone=b")
	p.create(task("talks", "chatter", on("zone=b"), func(c *api.CreateTask) { c.Attachments = chatter("x").json(t) }))
	p.runs("talks")

	var out, errOut testlog.Buffer
	follow := exec.Command(built.skalds, "task", "logs", "talks", "-f", "--server", "http://"+address)
	follow.Stdout, follow.Stderr, follow.Dir = &out, &errOut, t.TempDir()
	follow.Env = os.Environ()
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- follow.Wait() }()
	t.Cleanup(func() {
		_ = follow.Process.Kill() // it may have ended
		if t.Failed() {
			t.Logf("it printed:\n%s\nand said %s", tail(out.String(), 50), errOut.String())
		}
	})
	n := regexp.MustCompile(`chatter.* n=(\d+)`)
	said := func() (numbers []int) {
		for line := range strings.Lines(out.String()) {
			if m := n.FindStringSubmatch(line); m != nil {
				i, err := strconv.Atoi(m[1])
				if err != nil {
					t.Fatal(err)
				}
				numbers = append(numbers, i)
			}
		}
		return numbers
	}
	more := func(p *program) {
		t.Helper()
		before := len(said())
		p.wait("more lines come", func() bool { return len(said()) > before+20 })
	}
	more(p)
	p.kill()
	p = standalone(t, dir, "--listen", address)
	more(p)
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p = standalone(t, dir, "--listen", address)
	more(p)
	if _, err := p.Cancel(t.Context(), "talks"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended by %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it does not end with the task")
	}
	numbers := said()
	for i, n := range numbers[1:] {
		if n != numbers[i]+1 {
			t.Fatalf("after line %d came line %d\n%s", numbers[i], n, out.String())
		}
	}
	if !strings.Contains(errOut.String(), "the log broke off") {
		t.Errorf("it said %q", errOut.String())
	}
}
