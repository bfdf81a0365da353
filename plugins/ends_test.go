package plugins

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

func TestEveryWayToEnd(t *testing.T) {
	l, p := setup(t)
	for _, tc := range []struct {
		name   string
		script script
		kind   skalds.ExitKind
		want   string
		code   int
		signal string
	}{
		{"finished", script{Do: "finish"}, skalds.ExitCompleted, "", 0, ""},
		{"error", script{Do: "error", Text: "no disk"}, skalds.ExitError, "no disk", 0, ""},
		{"panic", script{Do: "panic", Text: "oops"}, skalds.ExitPanic, "panic: oops", 0, ""},
		{"panic in a goroutine", script{Do: "panic-goroutine", Text: "far away"}, skalds.ExitPanic, "panic: far away", 2, ""},
		{"fatal error", script{Do: "overflow"}, skalds.ExitPanic, "fatal error: stack overflow", 2, ""},
		{"abort", script{Do: "kill-self", Code: int(syscall.SIGABRT)}, skalds.ExitPanic, "SIGABRT: abort", 2, ""},
		{"exit code", script{Do: "exit", Code: 9}, skalds.ExitExit, "exit code 9", 9, ""},
		{"exit code 2 without a panic", script{Do: "exit", Code: 2}, skalds.ExitExit, "exit code 2", 2, ""},
		{"exit code 0 without a last word", script{Do: "exit"}, skalds.ExitExit, "exit code 0", 0, ""},
		{"SIGKILL", script{Do: "kill-self", Code: int(syscall.SIGKILL)}, skalds.ExitSignal, "SIGKILL", -1, "killed"},
		{"SIGHUP", script{Do: "kill-self", Code: int(syscall.SIGHUP)}, skalds.ExitSignal, "hangup", -1, "hangup"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.name == "SIGHUP" && signal.Ignored(syscall.SIGHUP) {
				t.Skip("these tests run under nohup, and so do the workers")
			}
			x := launch(t, l, p, tc.script, LaunchSpec{}).end(t)
			if x.Kind != tc.kind || !strings.Contains(x.Message, tc.want) || x.Code != tc.code || x.Signal != tc.signal {
				t.Errorf("got %+v, want kind %s, message with %q, code %d, signal %q", x, tc.kind, tc.want, tc.code, tc.signal)
			}
			if tc.kind == skalds.ExitPanic && !strings.Contains(x.Stack, "goroutine") {
				t.Errorf("no stack: %+v", x)
			}
		})
	}
}

func TestSIGTERMFromOutside(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	if err := syscall.Kill(a.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Kind != skalds.ExitSignal || !contains(x.Message, "SIGTERM", "outside") || x.Signal != "terminated" {
		t.Errorf("got %+v", x)
	}
}

// A worker that lives but answers no call: who notices kills it, and the report says why.
func TestHungWorker(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	freezeFromOutside(t, a.PID())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := a.Worker().Describe(ctx, protocol.DescribeRequest{}); !errors.Is(ctx.Err(), context.DeadlineExceeded) || err == nil {
		t.Errorf("a stopped process answered: %v", err)
	}
	if x := a.Explain(nil, errors.New("no answer")); x.Kind != skalds.ExitRPCLost || !contains(x.Message, "lives", "no answer") {
		t.Errorf("before the kill: %+v", x)
	}
	a.Kill(skalds.ExitRPCLost, "no answer for 2 s")
	a.Kill(skalds.ExitCancelled, "too late: the first reason holds")
	if x := a.end(t); x.Kind != skalds.ExitRPCLost || x.Message != "no answer for 2 s" {
		t.Errorf("got %+v", x)
	}
	if _, err := a.Worker().Describe(t.Context(), protocol.DescribeRequest{}); err == nil {
		t.Error("a dead process answered")
	}
}

// A worker that stands still says where, if it can, and dies in any case.
func TestAStalledWorkerSaysWhereItStands(t *testing.T) {
	l, p := setup(t)
	for _, frozen := range []bool{false, true} {
		t.Run(fmt.Sprintf("frozen=%v", frozen), func(t *testing.T) {
			t.Parallel()
			a := launch(t, l, p, script{Do: "ignore"}, LaunchSpec{})
			if frozen {
				freezeFromOutside(t, a.PID())
			}
			a.KillWithStack(skalds.ExitStall, "no frames for 5s")
			x := a.end(t)
			if x.Kind != skalds.ExitStall || x.Message != "no frames for 5s" {
				t.Errorf("got %+v", x)
			}
			if frozen && x.Stack != "" || !frozen && (!strings.HasPrefix(x.Stack, "goroutine ") || !contains(x.Stack[:min(len(x.Stack), 2000)], "scripted.Main", "main_test.go")) {
				t.Errorf("stack %.3000s", x.Stack)
			}
		})
	}
}

func TestPermanentErrorIsMarked(t *testing.T) {
	l, p := setup(t)
	x := launch(t, l, p, script{Do: "permanent", Text: "wrong model"}, LaunchSpec{}).end(t)
	if !x.Permanent || x.Kind != skalds.ExitError {
		t.Errorf("got %+v", x)
	}
}

func TestProgressAndResultArriveInOrder(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "work", N: 150}, LaunchSpec{})
	if x := a.end(t); x.Kind != skalds.ExitCompleted {
		t.Fatalf("got %+v", x)
	}
	var last protocol.Progress
	var result string
	for _, e := range a.events {
		switch e.Kind {
		case protocol.EventProgress:
			if e.Progress.Units < last.Units {
				t.Errorf("units went back from %d to %d", last.Units, e.Progress.Units)
			}
			last = e.Progress
		case protocol.EventResult:
			result = string(e.Value)
		}
	}
	if last.Units != 150 || last.Percent != 100 || result != `{"items":150}` {
		t.Errorf("last progress %+v, result %s", last, result)
	}
}

func TestStopLadder(t *testing.T) {
	l, p := setup(t)
	for _, tc := range []struct {
		name   string
		do     string
		before func(t *testing.T, a *attempt)
		grace  time.Duration
		obeys  bool // well within the grace
	}{
		{"obeys", "wait", nil, 20 * time.Second, true},
		{"ignores everything", "ignore", nil, 200 * time.Millisecond, false},
		{"spins", "spin", nil, 20 * time.Second, true},
		{"is frozen", "wait", func(t *testing.T, a *attempt) {
			if err := a.Freeze(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, 20 * time.Second, true},
		{"was stopped from outside", "wait", func(t *testing.T, a *attempt) {
			freezeFromOutside(t, a.PID())
		}, 200 * time.Millisecond, false},
		{"has children that hold its pipes", "fork", func(t *testing.T, a *attempt) {
			t.Cleanup(func() { _ = os.Remove(a.file) })
			children(t, a.file)
		}, 20 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "pids")
			a := launch(t, l, p, script{Do: tc.do, File: file}, LaunchSpec{})
			a.file = file
			if tc.before != nil {
				tc.before(t, a)
			}
			begin := time.Now()
			go func() { <-a.over; a.Leave() }()
			if err := a.Stop(t.Context(), string(skalds.ExitCancelled), tc.grace); err != nil {
				t.Fatal(err)
			}
			bound := tc.grace + time.Second
			if tc.obeys {
				bound = time.Second
			}
			if took := time.Since(begin); took > 5*bound {
				t.Errorf("took %s, promised are %s", took, bound)
			}
			if x := a.end(t); x.Kind != skalds.ExitCancelled {
				t.Errorf("got %+v", x)
			}
		})
	}
}

func TestStopWithoutPatience(t *testing.T) {
	l, p := setup(t)
	a := launch(t, l, p, script{Do: "ignore"}, LaunchSpec{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Stop(ctx, string(skalds.ExitDrain), time.Hour); err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Kind != skalds.ExitDrain {
		t.Errorf("got %+v", x)
	}
}
