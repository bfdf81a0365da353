package plugins

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/procstats"
)

func TestTreeIsGoneWhenTheInstanceIsDone(t *testing.T) {
	for _, how := range []string{"killed by us", "worker killed from outside", "last word said"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			l, p := setup(t)
			file := filepath.Join(t.TempDir(), "pids")
			a := launch(t, l, p, script{Do: "fork", File: file}, LaunchSpec{})
			pids := children(t, file)
			want := skalds.ExitSignal
			switch how {
			case "killed by us":
				want = skalds.ExitStall
				a.Kill(skalds.ExitStall, "no frame for 5 s")
			case "last word said":
				want = skalds.ExitLimit
				a.setReason(skalds.ExitLimit, "just so")
				a.Leave()
			default:
				if err := syscall.Kill(a.PID(), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			<-a.Done()
			for i, pid := range pids {
				if alive(t, pid) {
					t.Errorf("child %d lives after Done", i)
				}
			}
			if x := a.end(t); x.Kind != want {
				t.Errorf("got %+v", x)
			}
		})
	}
}

func TestForkBombIsBounded(t *testing.T) {
	for _, how := range []string{"", "setsid"} {
		t.Run("children "+how, func(t *testing.T) {
			l, p := setup(t)
			neighbour := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Limits: skalds.Limits{PIDs: enoughThreads}})
			a := launch(t, l, p, script{Do: "bomb", Text: how}, LaunchSpec{Limits: skalds.Limits{PIDs: enoughThreads}})
			if x := a.end(t); x.Kind != skalds.ExitLimit || !contains(x.Message, "processes", fmt.Sprintf("limit is %d", enoughThreads)) {
				t.Errorf("got %+v", x)
			}
			list, err := procstats.List()
			if err != nil {
				t.Fatal(err)
			}
			for _, pr := range list {
				if a.launched(pr) {
					t.Errorf("%d lives", pr.PID)
				}
			}
			select {
			case <-neighbour.Done():
				t.Error("the neighbour was killed, too")
			default:
			}
		})
	}
}

// A tree that forks all the time is frozen as a whole, and nothing of it moves until it is thawed.
func TestFreezeOfATreeThatForks(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "spawn"}, LaunchSpec{})
	for range 5 {
		if err := a.Freeze(t.Context()); err != nil {
			t.Fatal(err)
		}
		total := func() (cpu time.Duration, count int) {
			for _, m := range a.members() {
				if m.State != 'T' && m.State != 'D' && l.groups.has.Freeze == "" { // D: waits for a child that is stopped before its exec
					t.Errorf("process %d is in state %c", m.PID, m.State)
				}
				cpu, count = cpu+m.CPU, count+1
			}
			return cpu, count
		}
		cpu, count := total()
		if err := exec.Command("sleep", "0.1").Run(); err != nil { // while others run
			t.Fatal(err)
		}
		if later, n := total(); later != cpu || n != count || count == 0 {
			t.Errorf("%d processes used %s while frozen; then there were %d", count, later-cpu, n)
		}
		a.mu.Lock()
		events := len(a.events)
		a.mu.Unlock()
		a.Thaw(t.Context())
		eventually(t, "it goes on", 20*time.Second, func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.events) > events })
	}
}

func TestFrozenUsesNoCPU(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "spin"}, LaunchSpec{})
	eventually(t, "busy", 20*time.Second, func() bool { return a.Usage().CPUCores > 0.1 })
	if err := a.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := procstats.Read(a.PID())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "usage falls to zero", 20*time.Second, func() bool { return a.Usage().CPUCores == 0 })
	after, err := procstats.Read(a.PID())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.CPU - before.CPU; used > 20*time.Millisecond {
		t.Errorf("used %s while frozen", used)
	}
	a.Thaw(t.Context())
	eventually(t, "busy again", 20*time.Second, func() bool { return a.Usage().CPUCores > 0.1 })
}
