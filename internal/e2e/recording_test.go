package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// object is a JSON object.
type object map[string]any

func (o object) with(more object) object {
	c := maps.Clone(o)
	maps.Copy(c, more)
	return c
}

func (o object) json(t testing.TB) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// freeAddress is a local address on which nobody listens. It lies below the ports that the system gives away by itself, so that none
// of the many connections of a test takes it before the camera does.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no port is free")
	return ""
}

const (
	cameraUser     = "demo"
	cameraPassword = "xyzzy-4711"
	cameraFPS      = 25
)

// cameraAt are the attachments of a TestCamera.
func cameraAt(address string) object {
	return object{"listen": address, "user": cameraUser, "password": cameraPassword, "fps": cameraFPS}
}

// recorderOf are the attachments of an RTSPRecorder of the camera at an address.
func recorderOf(address string) object {
	return object{"rtspUrl": fmt.Sprintf("rtsp://%s:%s@%s/stream", cameraUser, cameraPassword, address)}
}

// persistent builds a task that is run again whatever happens.
func persistent(t testing.TB, id, class string, attachments object) api.CreateTask {
	t.Helper()
	return api.CreateTask{ID: id, ClassName: class, Attachments: attachments.json(t), IsPersistent: true}
}

// update changes attachments, which must be accepted.
func (p *program) update(id string, attachments object) {
	p.t.Helper()
	if _, err := p.UpdateAttachments(p.t.Context(), id, attachments.json(p.t), 0); err != nil {
		p.t.Fatalf("update %s: %v", id, err)
	}
}

// counts waits until a task has counted n units more than it had, and returns it then.
func (p *program) counts(id string, n int64) api.TaskResponse {
	p.t.Helper()
	was := int64(-1)
	return p.becomes(id, fmt.Sprintf("counts %d more", n), func(r api.TaskResponse) bool {
		if was < 0 {
			was = r.Progress.Units
		}
		return r.Phase == skalds.PhaseNone && r.Progress.Units >= was+n
	})
}

// films waits until the recordings of a task satisfy ok and returns them.
func (p *program) films(id, what string, ok func([]movie) bool) (list []movie) {
	p.t.Helper()
	p.wait("the recordings of "+id+" "+what, func() bool {
		list = movies(p.t, p.dir, id)
		return ok(list)
	})
	return list
}

// beats waits for n more heartbeats that tell of a task, and returns it as the last of them shows it.
func (p *program) beats(id string, n int) api.TaskResponse {
	p.t.Helper()
	var last int64
	p.until(fmt.Sprintf("%d heartbeats tell of %s", n, id), func(ctx context.Context) bool {
		h, err := p.Usage(ctx, id, time.Hour)
		if err != nil || len(h.Items) == 0 {
			return false
		}
		at := h.Items[len(h.Items)-1].At
		if last != 0 && at > last {
			n--
		}
		last = at
		return n == 0
	})
	r, err := p.Task(p.t.Context(), id)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func ended(list []movie, reason string) (n int) {
	for _, m := range list {
		if m.end == reason {
			n++
		}
	}
	return n
}

// TestRecorderStays takes one recorder through all that may happen to it and its camera: it is one process from first to last, and
// no picture that came is missing.
func TestRecorderStays(t *testing.T) {
	dir := t.TempDir()
	p := standalone(t, dir)
	one, two := freeAddress(t), freeAddress(t)
	p.create(persistent(t, "camera-1", "TestCamera", cameraAt(one)))
	p.create(persistent(t, "camera-2", "TestCamera", cameraAt(two).with(object{"clip": "192x108"})))
	p.create(persistent(t, "recorder", "RTSPRecorder", recorderOf(one)))
	first := p.counts("recorder", 10)

	// The camera dies. The recorder stays, connects to the next process of the camera, and begins another file.
	killPID(t, p.runs("camera-1").Instance.PID)
	p.films("recorder", "go on after the camera's death", func(l []movie) bool { return len(l) == 2 && l[0].end == "reconnect" && len(l[1].durations) > 0 })
	if r := p.becomes("recorder", "is well", func(r api.TaskResponse) bool { return r.Error == nil }); r.Attempt != 1 {
		t.Errorf("the death of the camera cost the recorder %d attempts", r.Attempt-1)
	}
	p.becomes("camera-1", "runs again", func(r api.TaskResponse) bool { return r.Attempt == 2 && r.Phase == skalds.PhaseNone })

	// Shorter files, in the same connection: the file that is open ends with its next key frame.
	p.update("recorder", recorderOf(one).with(object{"segmentSeconds": 1}))
	list := p.films("recorder", "are rotated", func(l []movie) bool { return ended(l, "rotate") >= 2 })
	for _, m := range list {
		if m.end == "rotate" && (m.width != 320 || m.keys == 0) {
			t.Errorf("%s: %d wide, %d key frames", m.name(), m.width, m.keys)
		}
	}
	// The second file that was rotated began under the new length.
	if rotated := list[2]; rotated.end != "rotate" || rotated.duration().Seconds() < 1 || rotated.duration().Seconds() > 1.5 {
		t.Errorf("%s: ended by %q after %s, want a second and the way to a key frame", rotated.name(), rotated.end, rotated.duration())
	}

	// Another camera, another picture.
	p.update("recorder", recorderOf(two))
	p.films("recorder", "show the other camera", func(l []movie) bool { return ended(l, "update") == 1 && l[len(l)-1].width == 192 })

	// Paused, it lets go of the camera.
	if _, err := p.Pause(t.Context(), "recorder"); err != nil {
		t.Fatal(err)
	}
	p.becomes("recorder", "is paused", func(r api.TaskResponse) bool { return r.LifecycleStatus == skalds.Paused && r.Instance != nil })
	list = p.films("recorder", "end with the pause", func(l []movie) bool { return l[len(l)-1].end == "pause" })
	for _, m := range list {
		regular(t, m, cameraFPS)
		plays(t, m)
	}
	p.until("the progress is what was recorded", func(ctx context.Context) bool {
		r, err := p.Task(ctx, "recorder")
		return err == nil && r.Progress.Units == int64(frames(list))
	})
	sent := p.beats("camera-2", 2).Progress.Units
	if now := p.beats("camera-2", 2).Progress.Units; now != sent {
		t.Errorf("the camera sent %d pictures to nobody", now-sent)
	}
	if again := movies(t, dir, "recorder"); len(again) != len(list) || frames(again) != frames(list) {
		t.Errorf("%d pictures were recorded during the pause", frames(again)-frames(list))
	}

	if _, err := p.Resume(t.Context(), "recorder"); err != nil {
		t.Fatal(err)
	}
	list = p.films("recorder", "go on after the pause", func(l []movie) bool { return len(l) > len(list) && len(l[len(l)-1].durations) > 0 })
	last := p.runs("recorder")
	if last.Instance.PID != first.Instance.PID || last.Attempt != 1 || last.Epoch != first.Epoch {
		t.Errorf("process %d, attempt %d, epoch %d; it began as process %d in epoch %d", last.Instance.PID, last.Attempt, last.Epoch, first.Instance.PID, first.Epoch)
	}

	// Every file is known, and why it ended.
	if _, err := p.Cancel(t.Context(), "recorder"); err != nil {
		t.Fatal(err)
	}
	p.wait("its process is gone", func() bool { return syscall.Kill(first.Instance.PID, 0) != nil })
	list = movies(t, dir, "recorder")
	if m := list[len(list)-1]; m.end != "stop" || m.rest != 0 {
		t.Errorf("%s: ended by %q, %d bytes left", m.name(), m.end, m.rest)
	}
	p.until("every file is reported", func(ctx context.Context) bool {
		artifacts, err := p.Recordings(ctx, "recorder")
		if err != nil || len(artifacts) != len(list) {
			return false
		}
		reasons := map[string]string{}
		for _, a := range artifacts {
			reasons[a.Path] = a.EndReason
		}
		for _, m := range list {
			if reasons[m.path] != m.end {
				return false
			}
		}
		return true
	})
}

// TestCameraThatIsNotThere: the task runs, says what is wrong without the password, and is well as soon as the camera is there.
func TestCameraThatIsNotThere(t *testing.T) {
	p := standalone(t, t.TempDir())
	address := freeAddress(t)
	p.create(persistent(t, "recorder", "RTSPRecorder", recorderOf(address)))
	r := p.becomes("recorder", "says what is wrong", func(r api.TaskResponse) bool { return r.Error != nil && r.Instance != nil })
	if r.LifecycleStatus != skalds.Running || !strings.Contains(*r.Error, "rtsp://"+cameraUser+":***@"+address) {
		t.Errorf("%s: %q", r.LifecycleStatus, *r.Error)
	}
	shown, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown)+p.logTail(t.Context(), "recorder", 100)+p.log.String(), cameraPassword) {
		t.Error("the password is shown")
	}

	p.create(persistent(t, "camera", "TestCamera", cameraAt(address)))
	well := p.becomes("recorder", "is well", func(r api.TaskResponse) bool { return r.Error == nil && r.Progress.Units > 0 && r.Instance != nil })
	if well.Attempt != 1 || well.Instance.PID != r.Instance.PID {
		t.Errorf("attempt %d, process %d after %d", well.Attempt, well.Instance.PID, r.Instance.PID)
	}
	p.films("recorder", "exist", func(l []movie) bool { return frames(l) > 0 })
}
