package plugins

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// shimHolds is what the shim of a launcher holds. Its memory is seen from outside.
func shimHolds(t testing.TB, l *Launcher) (h shimHeld) {
	t.Helper()
	sh, _ := l.spawner.current()
	dir := fmt.Sprintf("/proc/%d/", sh.PID())
	for name, n := range map[string]*int{"fd": &h.descriptors, "task": &h.threads} {
		entries, err := os.ReadDir(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		*n = len(entries)
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			if h.anonymous, err = strconv.ParseInt(strings.Fields(rest)[0], 10, 64); err != nil {
				t.Fatal(err)
			}
			h.anonymous <<= 10
		}
	}
	tasks, err := os.ReadDir(dir + "task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		pids, _ := os.ReadFile(dir + "task/" + task.Name() + "/children") // a thread may have ended
		h.children += len(strings.Fields(string(pids)))
	}
	return h
}
