package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// smallDisk is a folder with a disk of its own.
type smallDisk struct {
	t   testing.TB
	dir string
	n   int // how often it was filled
}

// newSmallDisk mounts one. Only root may; as root, in a container that forbids it, the test is skipped too.
func newSmallDisk(t testing.TB, megabytes int) *smallDisk {
	t.Helper()
	d := &smallDisk{t: t, dir: t.TempDir()}
	err := syscall.Mount("skalds-test", d.dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("size=%dm", megabytes))
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("this needs a small disk, and uid %d may not mount one here: %v", os.Geteuid(), err)
	}
	if err != nil {
		t.Fatalf("mount %s: %v", d.dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil { // workers that were just killed may still be in it
			t.Errorf("unmount %s: %v", d.dir, err)
		}
	})
	return d
}

// fill takes all the space there is.
func (d *smallDisk) fill() {
	d.t.Helper()
	d.n++
	f, err := os.Create(filepath.Join(d.dir, fmt.Sprintf("ballast-%d", d.n)))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		n, err := f.Write(make([]byte, size))
		switch {
		case n == 0 && errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil && !errors.Is(err, syscall.ENOSPC):
			d.t.Fatal(err)
		}
	}
}

// free gives all of it back.
func (d *smallDisk) free() {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.dir, "ballast-*"))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			d.t.Fatal(err)
		}
	}
}

// complaints are the warnings and errors in a log, each without time and numbers, and how often it was said. What tasks
// themselves say is not among them.
func complaints(log string) map[string]int {
	said := map[string]int{}
	for line := range strings.Lines(log) {
		_, text, _ := strings.Cut(line, " ") // the time
		if strings.Contains(text, "skalds.host.task.") || !strings.HasPrefix(text, "[WARN]") && !strings.HasPrefix(text, "[ERROR]") {
			continue
		}
		said[digits.ReplaceAllString(strings.TrimSpace(text), "#")]++
	}
	return said
}

var digits = regexp.MustCompile(`[0-9]+`)

// The disk under the data folder fills up while tasks record and log: it is said once, nothing new is accepted, what runs
// goes on, and with room everything works again by itself.
func TestFullDisk(t *testing.T) {
	d := newSmallDisk(t, 48)
	p := standalone(t, d.dir)
	address := freeAddress(t)
	p.create(persistent(t, "camera", "TestCamera", cameraAt(address)))
	p.create(persistent(t, "recorder", "RTSPRecorder", recorderOf(address)))
	p.create(persistent(t, "talker", "Script", chatter("a line for the log of the task")))
	p.create(task("waiting", "finish", on("zone=nowhere")))
	p.create(api.CreateTask{
		ID: "faller", ClassName: "Script", Attachments: json.RawMessage(`{"do":"fail","millis":300,"text":"it fell"}`),
		Retry: skalds.Retry{MaxAttempts: 1000, InitialDelay: skalds.Duration(time.Second), MaxDelay: skalds.Duration(time.Second), Factor: 1},
	})
	p.create(task("worker", "work", func(c *api.CreateTask) { c.Attachments = json.RawMessage(`{"do":"work","millis":5000}`) }))
	pids := map[string]int{}
	for _, id := range []string{"camera", "recorder", "talker"} {
		pids[id] = p.runs(id).Instance.PID
	}
	p.runs("worker")
	p.counts("recorder", 10)

	// Full: it says so, and answers what to do.
	from := len(p.log.String())
	d.fill()
	full := "the disk under " + d.dir + " is full"
	p.wait("it says that the disk is full", func() bool { return strings.Contains(p.log.String(), full) })
	accepted := []string{"waiting"}
	refused := func() {
		t.Helper()
		var err error
		p.until("a create is refused", func(ctx context.Context) bool {
			d.fill() // what was made shorter meanwhile leaves room
			id := fmt.Sprint("more-", d.n)
			if _, err = p.CreateTask(ctx, task(id, "finish", on("zone=nowhere")), ""); err == nil {
				accepted = append(accepted, id)
			}
			return err != nil
		})
		var e *skalds.Error
		if !errors.As(err, &e) || e.Code != skalds.CodeUnavailable || !strings.Contains(e.Message, full+": free some space there") {
			t.Errorf("a create on a full disk gave %v", err)
		}
	}
	refused()
	if h, err := p.Health(t.Context()); err != nil || !strings.Contains(h.Services["disk"], full) {
		t.Errorf("its health is %+v, %v", h, err)
	}
	p.beats("talker", 10)
	refused()
	for id, pid := range pids {
		if r := p.runs(id); r.Instance.PID != pid {
			t.Errorf("task %s was disturbed", id)
		}
	}
	p.counts("talker", 10)

	// Room again: all that was accepted, and all that happened meanwhile, is known.
	d.free()
	p.wait("it says that there is room", func() bool { return strings.Contains(p.log.String(), "the disk has room again") })
	p.until("a task is accepted", func(ctx context.Context) bool {
		_, err := p.CreateTask(ctx, task("later", "finish"), "")
		return err == nil
	})
	if r := p.ends("later"); r.LifecycleStatus != skalds.Finished {
		t.Errorf("a task after it is %s", r.LifecycleStatus)
	}
	if r := p.ends("worker"); r.LifecycleStatus != skalds.Finished {
		t.Errorf("the task that came to its end meanwhile is %s: %+v", r.LifecycleStatus, r.LastExit)
	}
	had := len(movies(t, d.dir, "recorder"))
	p.films("recorder", "grow again", func(list []movie) bool {
		return len(list) > had || len(list) == had && had > 0 && list[had-1].duration() > 0
	})
	if err := syscall.Kill(pids["talker"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.becomes("talker", "runs again", func(r api.TaskResponse) bool {
		return r.Instance != nil && r.Instance.PID != pids["talker"] && r.Phase == skalds.PhaseNone
	})
	p.becomes("faller", "falls again", func(r api.TaskResponse) bool { return r.LastExit != nil && r.LastExit.Message == "it fell" })
	attempts, err := p.Attempts(t.Context(), "faller")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attempts {
		if a.Exit != nil && a.Exit.Kind != skalds.ExitError {
			t.Errorf("the worker is blamed: %+v", a.Exit)
		}
	}
	p.until("everything is healthy", func(ctx context.Context) bool {
		h, err := p.Health(ctx)
		return err == nil && h.Status == "healthy"
	})
	log := p.log.String()[from:]
	if n := strings.Count(log, "[ERROR] skalds: "+full); n != 1 {
		t.Errorf("that the disk is full was said %d times", n)
	}
	for text, n := range complaints(log) {
		if n > 3 {
			t.Errorf("said %d times: %s", n, text)
		}
		if strings.Contains(text, "check that Kafka runs there") {
			t.Errorf("wrong advice: %s", text)
		}
	}
	if strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
		t.Errorf("it panicked:\n%s", log)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p = standalone(t, d.dir)
	for _, id := range []string{"camera", "recorder", "talker", "faller"} {
		p.becomes(id, "is there", func(r api.TaskResponse) bool { return r.LifecycleStatus == skalds.Running })
	}
	for _, id := range accepted {
		if r, err := p.Task(t.Context(), id); err != nil || r.LifecycleStatus != skalds.Created {
			t.Errorf("%s, which waits, is %+v, %v", id, r, err)
		}
	}
}

// A start on a disk that is full already ends with one line that says so; with room it starts.
func TestStartOnAFullDisk(t *testing.T) {
	d := newSmallDisk(t, 24)
	used := filepath.Join(d.dir, "used")
	p := standalone(t, used)
	p.create(task("kept", "finish", on("zone=nowhere")))
	if code := p.stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	workers := filepath.Join(t.TempDir(), "workers.yml")
	writeFile(t, workers, "TaskWorkers:\n  a:\n    className: Script\n    attachments: {do: wait}\n", 0o644)
	d.fill()
	for name, args := range map[string][]string{
		"a new folder":  {"standalone", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(d.dir, "new")},
		"a used folder": {"standalone", "--listen", "127.0.0.1:0", "--data-dir", used},
		"a host":        {"host", "--mode", "edge", "--workers", workers, "--data-dir", filepath.Join(d.dir, "host")},
	} {
		t.Run(name, func(t *testing.T) {
			_, errOut, code := command(t, nil, append(args, "--plugins", built.plugins)...)
			var told []string
			for line := range strings.Lines(errOut) {
				if strings.HasPrefix(line, "skalds: ") {
					told = append(told, line)
				}
			}
			if code != 6 || len(told) != 1 || !strings.Contains(told[0], "the disk under "+args[len(args)-1]+" is full: free some space there") {
				t.Errorf("exit code %d, want 6 and one line:\n%s", code, errOut)
			}
		})
	}
	d.free()
	p = standalone(t, used)
	if r, err := p.Task(t.Context(), "kept"); err != nil || r.LifecycleStatus != skalds.Created {
		t.Errorf("the task of before is %+v, %v", r, err)
	}
}
