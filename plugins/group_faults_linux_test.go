package plugins

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/skalds-go/skalds"
)

// groupDirs are the folders of a launcher's groups, of one controller or of all.
func groupDirs(t *testing.T, l *Launcher, controller string) (dirs []string) {
	t.Helper()
	for _, depth := range []string{"", "*/", "*/*/", "*/*/*/"} {
		found, err := filepath.Glob("/sys/fs/cgroup/" + controller + "/" + depth + "skalds-" + l.prefix)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, found...)
	}
	return dirs
}

// A limit with which nothing can be started costs nobody but its own task anything.
func TestALimitTooSmallForAnyProcess(t *testing.T) {
	l, p := setup(t)
	neighbour := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	sh, _ := l.spawner.current()
	for _, limits := range []skalds.Limits{{MemoryBytes: 1}, {MemoryBytes: 64 << 10}, {MemoryBytes: skalds.MinMemoryLimit - 1}, {PIDs: 1}, {MemoryBytes: skalds.MinMemoryLimit}} {
		i, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "tiny", Limits: limits})
		if i != nil {
			i.Kill(skalds.ExitCancelled, "enough")
			<-i.Done()
		}
		var le *LaunchError
		if limits.MemoryBytes == skalds.MinMemoryLimit || limits.PIDs > 0 && !l.groups.holdsPIDs() { // what becomes of it is another matter
			continue
		}
		if !errors.As(err, &le) || le.Exit().Limit == "" && l.groups.tree != nil {
			t.Errorf("%+v: %v", limits, err)
		}
	}
	if now, _ := l.spawner.current(); now != sh {
		t.Error("the shim has died of it")
	}
	select {
	case <-neighbour.Done():
		t.Errorf("the neighbour has died: %+v", neighbour.end(t))
	default:
	}
}

// What a container's limit, or the machine's memory, kills for is not the task's own limit.
func TestAKillForMemoryOfAGroupAbove(t *testing.T) {
	l, p := setup(t)
	dirs := groupDirs(t, l, "memory")
	if len(dirs) == 0 {
		t.Skip("no control group of version 1 holds memory here")
	}
	a := launch(t, l, p, script{Do: "leak", Bytes: 4 << 30}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 2 << 30}})
	if err := os.WriteFile(filepath.Join(dirs[0], "memory.limit_in_bytes"), []byte("100000000"), 0); err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Kind != skalds.ExitOOM || x.Limit != "" || !contains(x.Message, "the machine") {
		t.Errorf("got %+v", x)
	}
	if e := l.Enforcement().Memory; e.Kills != 0 {
		t.Errorf("counts as a kill at a limit: %+v", e)
	}
}

// Somebody tidies up empty folders while no task runs.
func TestTheFolderOfTheGroupsIsMadeAgain(t *testing.T) {
	l, p := setup(t)
	dirs := groupDirs(t, l, "*")
	if len(dirs) == 0 {
		t.Skip("no control groups here")
	}
	for _, dir := range dirs {
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
	a := launch(t, l, p, script{Do: "leak", Bytes: 4 << 30}, LaunchSpec{Limits: skalds.Limits{MemoryBytes: 128 << 20}})
	if x := a.end(t); !overMemory(l, x) {
		t.Errorf("got %+v", x)
	}
}
