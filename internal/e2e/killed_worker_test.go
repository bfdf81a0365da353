package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// What is promised of a worker that was killed. Tests of time allow slack times as much: the machine may be busy.
const (
	nextAttemptWithin = 200 * time.Millisecond // 95 of 100 first restarts
	part              = 200 * time.Millisecond // of a recording: it is written at once
	slack             = 5
)

// began says when the n-th attempt of a task entered Main, in which process, by its own notes; ok is false while it has not.
func began(dataDir, task string, attempt int) (at time.Time, pid int, ok bool) {
	b, err := os.ReadFile(filepath.Join(dataDir, "recordings", skalds.FileName(task), "notes"))
	if err != nil {
		return time.Time{}, 0, false
	}
	for line := range strings.Lines(string(b)) {
		var epoch, n int
		var nanos int64
		if _, err := fmt.Sscanf(line, "began epoch=%d attempt=%d pid=%d at=%d\n", &epoch, &n, &pid, &nanos); err == nil && n == attempt {
			return time.Unix(0, nanos), pid, true
		}
	}
	return time.Time{}, 0, false
}

// inMain waits until the n-th attempt of a task is in Main.
func (p *program) inMain(task string, attempt int) (at time.Time, pid int) {
	p.t.Helper()
	p.wait(fmt.Sprintf("attempt %d of %s is in Main", attempt, task), func() (ok bool) {
		at, pid, ok = began(p.dir, task, attempt)
		return ok
	})
	return at, pid
}

// TestNextAttempt kills the workers of 50 fresh tasks, one after the other, and measures when the next process of each is in Main.
func TestNextAttempt(t *testing.T) {
	p := standalone(t, t.TempDir())
	const n = 50
	var took []time.Duration
	for i := range n {
		id := fmt.Sprintf("k%d", i)
		p.create(task(id, "wait"))
		_, pid := p.inMain(id, 1)
		killed := time.Now()
		killPID(t, pid)
		again, _ := p.inMain(id, 2)
		took = append(took, again.Sub(killed))
		if _, err := p.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(took)
	p95 := took[n*95/100]
	t.Logf("killed to next attempt in Main: median %s, p95 %s, longest %s", took[n/2], p95, took[n-1])
	if p95 > slack*nextAttemptWithin {
		t.Errorf("p95 is %s, promised are %s", p95, nextAttemptWithin)
	}
	for i := range n {
		id := fmt.Sprintf("k%d", i)
		p.until("both deaths of "+id+" are explained", func(ctx context.Context) bool {
			a, err := p.Attempts(ctx, id)
			return err == nil && len(a) == 2 && a[0].Exit != nil && a[0].Exit.Kind == skalds.ExitSignal &&
				a[1].Exit != nil && a[1].Exit.Kind == skalds.ExitCancelled
		})
	}
}

// TestKilledRecorder kills recorders: a file plays up to the kill but for one part and one picture, and the next process goes on.
func TestKilledRecorder(t *testing.T) {
	dir := t.TempDir()
	p := standalone(t, dir)
	address := freeAddress(t)
	p.create(persistent(t, "camera", "TestCamera", cameraAt(address)))
	ids := []string{"recorder-0", "recorder-1", "recorder-2", "recorder-3"}
	for _, id := range ids {
		p.create(persistent(t, id, "RTSPRecorder", recorderOf(address).with(object{"watchdogSeconds": 600})))
	}
	for _, id := range ids {
		p.becomes(id, "records", func(r api.TaskResponse) bool { return r.Progress.Units > cameraFPS && r.Instance != nil })
	}

	// By the clock: what lies on the disk when it is killed reaches to within a part and a picture of now.
	const picture = time.Second / cameraFPS
	for _, id := range ids {
		pid := p.runs(id).Instance.PID
		killed := time.Now()
		killPID(t, pid)
		list := p.films(id, "go on", func(l []movie) bool {
			return len(l) == 2 && l[0].end == "crash" && l[0].rest == 0 && len(l[1].durations) > 0
		})
		missing := killed.Sub(list[0].start.Add(list[0].duration()))
		t.Logf("%s: %s of %s are missing, the next file begins %s after the kill", id, missing.Round(time.Millisecond),
			killed.Sub(list[0].start).Round(time.Millisecond), list[1].start.Sub(killed).Round(time.Millisecond))
		if missing > slack*(part+picture) {
			t.Errorf("%s: %s are missing, promised is one part and one picture (%s)", id, missing, part+picture)
		}
		r := p.becomes(id, "runs again", func(r api.TaskResponse) bool {
			return r.Attempt == 2 && r.Phase == skalds.PhaseNone && r.Instance != nil && r.Instance.PID != pid
		})
		if r.LastExit == nil || r.LastExit.Kind != skalds.ExitSignal {
			t.Errorf("last exit %+v", r.LastExit)
		}
	}

	// By counting: the camera falls silent, so that all that was sent has come when they are killed.
	p.update("camera", cameraAt(address).with(object{"faults": []object{{"kind": "novideo"}}}))
	p.beats("camera", 2)
	for _, id := range ids {
		r := p.beats(id, 1)
		killPID(t, r.Instance.PID)
		p.inAttempt(id, 3)
		list := movies(t, dir, id)
		if len(list) != 2 {
			t.Fatalf("%s has %d files", id, len(list))
		}
		// A part is written when it is full: what is lost is less than one, and the picture whose length is not yet known.
		if missing, most := r.Progress.Units-int64(len(list[1].durations)), int64(part/picture); missing < 0 || missing > most {
			t.Errorf("%s: %d of %d pictures are missing, more than %d", id, missing, r.Progress.Units, most)
		}
	}

	// Video comes again: each has a third file, and what became of the others is reported.
	p.update("camera", cameraAt(address))
	for _, id := range ids {
		list := p.films(id, "go on", func(l []movie) bool { return len(l) == 3 && len(l[2].durations) > 0 && l[1].end == "crash" })
		for _, m := range list[:2] {
			regular(t, m, cameraFPS)
			plays(t, m)
		}
		p.until("what became of each file of "+id+" is reported", func(ctx context.Context) bool {
			artifacts, err := p.Recordings(ctx, id)
			crashed := 0
			for _, a := range artifacts {
				if a.EndReason == "crash" {
					crashed++
				}
			}
			return err == nil && len(artifacts) == 3 && crashed == 2
		})
	}
}

// inAttempt waits until a process of the n-th attempt of a task is in Main.
func (p *program) inAttempt(id string, attempt int) api.TaskResponse {
	p.t.Helper()
	return p.becomes(id, fmt.Sprintf("is in attempt %d", attempt), func(r api.TaskResponse) bool {
		return r.Attempt == attempt && r.Phase == skalds.PhaseNone && r.Instance != nil
	})
}
