package sdk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// inNamespace are the attributes of a first process in a pid namespace of its own.
func inNamespace(t *testing.T) *syscall.SysProcAttr {
	t.Helper()
	attr := func() *syscall.SysProcAttr {
		a := &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWPID}
		if os.Getuid() != 0 {
			a.Cloneflags |= syscall.CLONE_NEWUSER
			a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
			a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		}
		return a
	}
	probe := exec.Command("true")
	probe.SysProcAttr = attr()
	if err := probe.Run(); err != nil {
		t.Skip("no pid namespace can be made here: ", err)
	}
	return attr()
}

func TestFirstProcessReapsOrphansAndNobodyElse(t *testing.T) {
	l := launchWith(t, "1", inNamespace(t))
	events, end := l.run(t, t.TempDir(), `{"do":"orphans"}`)
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	if f := last(events()); f.Kind != protocol.FinishedCompleted {
		t.Errorf("ended by %+v", f)
	}
}

func TestFirstProcessSIGTERMIsAStop(t *testing.T) {
	l := launchWith(t, "1", inNamespace(t))
	dir := t.TempDir()
	events, end := l.run(t, dir, `{"do":"wait"}`)
	eventually(t, "Main runs", units(events, 1))
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-end; err != nil {
		t.Fatal(err)
	}
	if f := last(events()); f.Kind != protocol.FinishedStopped {
		t.Errorf("ended by %+v", f)
	}
	if _, err := os.Stat(filepath.Join(dir, "released")); err != nil {
		t.Error("Release did not run")
	}
}

func TestFirstProcessIdleSIGTERM(t *testing.T) {
	l := launchWith(t, "1", inNamespace(t))
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the idle process ends", l.client.Exited)
}

func TestFirstProcessDiesWithItsHost(t *testing.T) {
	l := launchWith(t, "1", inNamespace(t))
	events, _ := l.run(t, t.TempDir(), `{"do":"stray"}`)
	eventually(t, "the stray runs", units(events, 2))
	_ = l.liveness.Close()
	eventually(t, "the worker is gone", l.client.Exited) // and with it everybody in its namespace
}
