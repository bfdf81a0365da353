package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

const (
	scriptedName    = "scripted"
	scriptedVersion = "1.0.0"
)

// script says what a task of the class Script does.
type script struct {
	Do     string `json:"do" jsonschema:"required,enum=finish,enum=wait,enum=work,enum=fail,enum=leak,enum=panic,enum=spin,enum=chatter,enum=exit,enum=crash,enum=bomb,enum=flood,enum=storm,enum=deaf,enum=pour,enum=say"`
	Millis int    `json:"millis,omitempty" jsonschema:"minimum=0"`
	Text   string `json:"text,omitempty"`
}

func serveScripted() {
	if filepath.Base(os.Args[0]) == panickyName {
		servePanicky()
		return
	}
	sdk.Serve(scriptedName, scriptedVersion, sdk.Class("Script", func() sdk.Worker[script] { return &scripted{} }, sdk.Resources(0.01, 1<<20)))
}

type scripted struct{}

var _ sdk.Updater[script] = (*scripted)(nil)

// Main notes in its folder that it began, with time and pid, does as told, and notes that it came to its end.
func (s *scripted) Main(ctx context.Context, t *sdk.Task[script]) error {
	if err := note(t, "began"); err != nil {
		return err
	}
	if err := s.do(ctx, t); err != nil {
		return err
	}
	return note(t, "finished")
}

func (s *scripted) do(ctx context.Context, t *sdk.Task[script]) error {
	a := t.Attachments()
	pause := time.Duration(a.Millis) * time.Millisecond
	switch a.Do {
	case "finish":
		return nil
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "work":
		return t.Sleep(ctx, pause)
	case "fail":
		if err := t.Sleep(ctx, pause); err != nil {
			return err
		}
		return errors.New(a.Text)
	case "panic":
		panic(a.Text)
	case "leak":
		return leak(ctx)
	case "spin":
		for ctx.Err() == nil {
		}
		return ctx.Err()
	case "say": // a line of as many letters as Millis in every way
		line := strings.Repeat("x", a.Millis)
		fmt.Println(line)
		fmt.Fprintln(os.Stderr, line)
		t.Log().Warn("said", "line", line)
		for _, fd := range []uintptr{1, 2} {
			if _, err := os.NewFile(fd, "raw").WriteString(line + "raw\n"); err != nil {
				return err
			}
		}
		return nil
	case "pour": // 100 bytes a line, on standard output
		for line := strings.Repeat("x", 99); ctx.Err() == nil; {
			fmt.Println(line)
		}
		return ctx.Err()
	case "exit":
		os.Exit(9)
	case "crash": // as a program in C does
		return syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -SEGV $$"}, os.Environ())
	case "bomb":
		for ctx.Err() == nil {
			c := exec.Command("sleep", "300")
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := c.Start(); err != nil {
				return err
			}
		}
		return ctx.Err()
	case "flood":
		for line := strings.Repeat("noise ", 100) + "\n"; ; {
			_, _ = os.Stderr.WriteString(line)
		}
	case "storm": // on all cores
		for range runtime.NumCPU() {
			go func() {
				for ctx.Err() == nil {
				}
			}()
		}
		select {}
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		select {}
	case "chatter":
		for n := 1; ; n++ {
			t.Log().Info("chatter", "n", n, "text", t.Attachments().Text)
			t.AddUnits("lines", 1)
			if err := t.Sleep(ctx, max(pause, time.Millisecond)); err != nil {
				return err
			}
		}
	}
	return sdk.Permanent(fmt.Errorf("cannot do %q", a.Do))
}

// Update takes everything as it is: chatter reads it at each turn.
func (s *scripted) Update(context.Context, *sdk.Task[script], script) error { return nil }

// leak takes one GiB a second until it is killed.
func leak(ctx context.Context) error {
	const step = 16 << 20
	var kept [][]byte
	for ctx.Err() == nil {
		b := make([]byte, step)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
		time.Sleep(time.Second * step / (1 << 30))
	}
	return fmt.Errorf("held %d pieces: %w", len(kept), ctx.Err())
}

// note appends a line to the file "notes" in the task's folder.
func note(t *sdk.Task[script], what string) error {
	f, err := os.OpenFile(filepath.Join(t.DataDir(), "notes"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s epoch=%d attempt=%d pid=%d at=%d\n", what, t.Epoch(), t.Attempt(), os.Getpid(), time.Now().UnixNano())
	return errors.Join(err, f.Close())
}

// noted counts the lines of a task's notes that begin with what.
func noted(dataDir, task, what string) (n int) {
	b, err := os.ReadFile(filepath.Join(dataDir, "recordings", task, "notes"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, what+" ") {
			n++
		}
	}
	return n
}
