package plugins

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// Shell scripts for the script "tree": $0 is the script itself, $1 a number, $2 a file that says that all are there.
const (
	pairScript  = `sleep 300 & sleep 300 & echo >"$2"; wait`
	chainScript = `if [ "$1" -gt 0 ]; then sh -c "$0" "$0" $(($1-1)) "$2"; else echo >"$2"; fi; sleep 300`
	busyScript  = `i=0; while [ $i -lt "$1" ]; do i=$((i+1)); (while :; do :; done) & done; echo >"$2"; wait`
	bombScript  = `trap "" TERM; i=0; while [ $i -lt "$1" ]; do i=$((i+1)); (while :; do sleep 0.05 & sleep 0.05; wait; done) & done
		echo >"$2"; while :; do sleep 0.05 & sleep 0.05; done`
)

// launchID is what all processes of an instance have in their environment.
func launchID(t testing.TB, a *attempt) string {
	t.Helper()
	id, ok := procstats.Environ(a.PID(), protocol.EnvLaunchID)
	if !ok || id == "" {
		t.Skip("no environment of other processes here")
	}
	return id
}

// livesOf lists the live processes that carry a launch id.
func livesOf(t testing.TB, id string) (out []procstats.Process) {
	t.Helper()
	list, err := procstats.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if got, ok := procstats.Environ(p.PID, protocol.EnvLaunchID); ok && got == id && p.State != 'Z' {
			out = append(out, p)
		}
	}
	return out
}

// appears waits for a file.
func appears(t testing.TB, file string) {
	t.Helper()
	eventually(t, "all processes are there", 30*time.Second, func() bool {
		_, err := os.Stat(file)
		return !errors.Is(err, os.ErrNotExist)
	})
}

// Whatever a worker does against it, Stop is over a second after the grace, and nobody is left.
func TestStopIsBoundedWhateverAWorkerDoes(t *testing.T) {
	l, p := setup(t)
	const grace = 300 * time.Millisecond
	frozen := func(t *testing.T, a *attempt) { freeze(t, a) }
	stopped := func(t *testing.T, a *attempt) { freezeFromOutside(t, a.PID()) }
	var worst time.Duration
	for _, tc := range []struct {
		name   string
		script script
		start  string
		limits skalds.Limits
		least  int // processes that there are
		before func(t *testing.T, a *attempt)
	}{
		{name: "hears no RPC, ignores SIGTERM", script: script{Do: "deaf"}},
		{name: "floods its output as well", script: script{Do: "deaf", Text: "flood"}},
		{name: "was stopped by SIGSTOP", script: script{Do: "deaf"}, before: stopped},
		{name: "was frozen", script: script{Do: "deaf"}, before: frozen},
		{name: "answers no Stop", script: script{Do: "wait"}, start: "hung stop"},
		{name: "has children that hold its pipes", script: script{Do: "tree", Text: pairScript}, least: 4},
		{name: "has them in a session of their own", script: script{Do: "tree", Text: pairScript, Code: 1}, least: 4},
		{name: "has them there, frozen", script: script{Do: "tree", Text: pairScript, Code: 1}, least: 4, before: frozen},
		{name: "forks all the time", script: script{Do: "tree", Text: bombScript, N: 10}, limits: skalds.Limits{PIDs: 300}, least: 12},
		{name: "forks all the time in a session of its own", script: script{Do: "tree", Text: bombScript, N: 10, Code: 1}, limits: skalds.Limits{PIDs: 300}, least: 12},
		{name: "is a chain of 50", script: script{Do: "tree", Text: chainScript, N: 50}, least: 52},
		{name: "is a chain of 50 in a session of its own", script: script{Do: "tree", Text: chainScript, N: 50, Code: 1}, least: 52},
		{name: "is a busy tree", script: script{Do: "tree", Text: busyScript, N: 3}, least: 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.script.File = filepath.Join(t.TempDir(), "there")
			spec := LaunchSpec{Limits: tc.limits, StartTimeout: time.Minute}
			if tc.start != "" {
				spec.Env = []string{"SCRIPT_START=" + tc.start}
			}
			a := launch(t, l, p, tc.script, spec)
			if tc.script.Do == "tree" {
				appears(t, tc.script.File)
			}
			id := launchID(t, a)
			// One that is just being executed has no environment for a moment.
			eventually(t, fmt.Sprintf("the tree has %d processes at least", tc.least), 20*time.Second, func() bool { return len(livesOf(t, id)) >= tc.least })
			if tc.before != nil {
				tc.before(t, a)
			}
			begin := time.Now()
			stop(t, a, skalds.ExitDrain, grace)
			took := time.Since(begin)
			worst = max(worst, took)
			t.Logf("took %s", took.Round(time.Millisecond))
			if took > grace+5*time.Second {
				t.Errorf("took %s, promised are %s", took, grace+time.Second)
			}
			for _, left := range livesOf(t, id) {
				t.Errorf("process %d is left, in state %c", left.PID, left.State)
			}
			if x := a.end(t); x.Kind != skalds.ExitDrain {
				t.Errorf("got %s", shown(x))
			}
		})
	}
	t.Logf("the longest of all took %s with a grace of %s; promised are %s", worst.Round(time.Millisecond), grace, grace+time.Second)
}
