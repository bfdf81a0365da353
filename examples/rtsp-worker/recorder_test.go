package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/sdktest"

	"github.com/skalds-go/skalds/examples/rtsp-worker/recording"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
)

const secret = "s3cret/@:?"

// more waits for n pictures beyond those counted so far.
func more(task *sdktest.Task, n int64) { task.WaitUnits(task.Progress().Units + n) }

func reasons(task *sdktest.Task) (out []string) {
	for _, a := range task.Host().Artifacts() {
		out = append(out, a.EndReason)
	}
	return out
}

func TestRecorderLife(t *testing.T) {
	t.Parallel()
	first := startCamera(t, rtsptest.Config{FPS: 30, User: "u", Password: secret})
	second := startCamera(t, rtsptest.Config{FPS: 30, Clip: "192x108-h265"})
	dir := t.TempDir()
	task := sdktest.Run(t, recorderClass(), map[string]any{"rtspUrl": first.URL()}, sdktest.Options{DataDir: dir, Epoch: 4})
	task.WaitUnits(20)
	contract := task.WaitFor("a promise of frames", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventContract })
	if contract.Unit != "frames" || contract.Budget != 5*time.Second {
		t.Errorf("contract: %+v", contract)
	}
	eventually(t, "an artifact", func() bool { return len(task.Host().Artifacts()) == 1 })
	if a := task.Host().Artifacts()[0]; a.Kind != "recording" || filepath.Dir(a.Path) != dir || !strings.HasSuffix(a.Path, "Z-e4.mp4") || !a.EndedAt.IsZero() {
		t.Errorf("artifact: %+v", a)
	}

	// Another length holds for the open file, in the same connection.
	if err := task.Update(map[string]any{"rtspUrl": first.URL(), "segmentSeconds": 1}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a file that was rotated", func() bool { return reasons(task)[0] == recording.EndRotate })
	if n := first.Plays(); n != 1 {
		t.Errorf("the camera was asked %d times", n)
	}

	// Another camera.
	if err := task.Update(map[string]any{"rtspUrl": second.URL(), "segmentSeconds": 60}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first camera to be left", func() bool { return first.Clients() == 0 })
	more(task, 20)
	eventually(t, "a file of the second camera", func() bool {
		all := task.Host().Artifacts()
		meta := string(all[len(all)-1].Meta)
		return strings.Contains(meta, `"width":192`) && strings.Contains(meta, `"codec":"h265"`) && all[len(all)-2].EndReason == recording.EndUpdate
	})

	// Wrong ones are refused and change nothing.
	for _, bad := range []map[string]any{{"rtspUrl": "http://h/"}, {"rtspUrl": "rtsp://u:" + secret + "@h:x/"}, {"rtspUrl": second.URL(), "transport": "carrier pigeon"}, {}} {
		if err := task.Update(bad); !errors.Is(err, protocol.ErrRefused) || strings.Contains(err.Error(), secret) {
			t.Errorf("%v: %v", bad, err)
		}
	}

	// A pause lets go of the camera.
	if err := task.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the camera to be left", func() bool { return second.Clients() == 0 })
	paused := task.Progress().Units
	if err := task.Update(map[string]any{"rtspUrl": second.URL(), "transport": "udp"}); err != nil {
		t.Fatal(err)
	}
	if second.Clients() != 0 {
		t.Error("an update woke a paused task")
	}
	if err := task.Resume(); err != nil {
		t.Fatal(err)
	}
	task.WaitUnits(paused + 20)

	if f := task.Stop(); f.Kind != protocol.FinishedStopped {
		t.Errorf("finished: %+v", f)
	}
	for _, a := range task.Host().Artifacts() {
		if a.EndedAt.IsZero() || a.Bytes == 0 || a.Duration == 0 {
			t.Errorf("artifact of an ended task: %+v", a)
		}
	}
	if got := strings.Join(reasons(task), " "); !strings.HasSuffix(got, "update pause stop") {
		t.Errorf("end reasons: %s", got)
	}
	if errs := task.Errors(); len(errs) != 0 {
		t.Errorf("errors: %q", errs)
	}
	if strings.Contains(task.Log(), secret) || strings.Contains(task.Log(), "s3cret") {
		t.Error("the password is in the log")
	}
}

func TestRecorderSound(t *testing.T) {
	t.Parallel()
	cam := startCamera(t, rtsptest.Config{FPS: 30, Sound: rtsptest.SoundAAC})
	task := sdktest.Run(t, recorderClass(), map[string]any{"rtspUrl": cam.URL()}, sdktest.Options{})
	task.WaitUnits(30)
	file := func() string {
		all := task.Host().Artifacts()
		return string(all[len(all)-1].Meta)
	}
	if got := file(); !strings.Contains(got, `"sound":"aac"`) {
		t.Errorf("artifact: %s", got)
	}
	if err := task.Update(map[string]any{"rtspUrl": cam.URL(), "sound": "stereo"}); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("stereo: %v", err)
	}
	if err := task.Update(map[string]any{"rtspUrl": cam.URL(), "sound": "off"}); err != nil {
		t.Fatal(err)
	}
	more(task, 30)
	eventually(t, "a file without sound", func() bool {
		return len(task.Host().Artifacts()) == 2 && !strings.Contains(file(), "sound")
	})
	if f := task.Stop(); f.Kind != protocol.FinishedStopped {
		t.Errorf("finished: %+v", f)
	}
	if errs := task.Errors(); len(errs) != 0 {
		t.Errorf("errors: %q", errs)
	}
}

// TestRecorderWaits starts without a camera, sees it refuse, come, break and come back: the task goes on and says what is wrong.
func TestRecorderWaits(t *testing.T) {
	t.Parallel()
	cam := startCamera(t, rtsptest.Config{FPS: 30, User: "u", Password: secret})
	if err := cam.Inject(rtsptest.Fault{Kind: rtsptest.FaultRefuse}); err != nil {
		t.Fatal(err)
	}
	task := sdktest.Run(t, recorderClass(), map[string]any{"rtspUrl": "${secret:URL}"}, sdktest.Options{Host: sdktest.NewHost(map[string]string{"URL": cam.URL()})})
	away := task.WaitFor("an error", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventError })
	if !strings.Contains(away.Message, "no video from camera rtsp://u:***@") {
		t.Errorf("error: %s", away.Message)
	}
	cam.Heal()
	task.WaitUnits(20)
	task.WaitFor("the end of the error", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventError && e.Message == "" })
	if err := cam.Inject(rtsptest.Fault{Kind: rtsptest.FaultReset}); err != nil {
		t.Fatal(err)
	}
	task.WaitFor("a withdrawn promise", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventContract && e.Budget == 0 })
	more(task, 20)
	eventually(t, "the file of the broken connection", func() bool { return reasons(task)[0] == recording.EndReconnect })
	if f := task.Stop(); f.Kind != protocol.FinishedStopped {
		t.Errorf("finished: %+v", f)
	}
	if strings.Contains(task.Log(), "[WARN]") {
		t.Errorf("what is wrong is told twice:\n%s", task.Log())
	}
	for _, text := range append(task.Errors(), task.Log()) {
		if strings.Contains(text, "s3cret") {
			t.Errorf("the password is in: %s", text)
		}
	}
}

func TestRecorderRefusesBadURL(t *testing.T) {
	t.Parallel()
	task := sdktest.Run(t, recorderClass(), map[string]any{"rtspUrl": "ftp://x/"})
	if f := task.Wait(); f.Kind != protocol.FinishedError || !f.Permanent || !strings.Contains(f.Message, "attachments.rtspUrl") {
		t.Errorf("finished: %+v", f)
	}
}

func TestCameraClass(t *testing.T) {
	t.Parallel()
	holder := startCamera(t, rtsptest.Config{}) // has the port first
	cam := sdktest.Run(t, cameraClass(), map[string]any{"listen": holder.Addr(), "fps": 30, "sound": "pcmu"})
	taken := cam.WaitFor("an error", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventError })
	if !strings.Contains(taken.Message, "choose another listen address") {
		t.Errorf("error: %s", taken.Message)
	}
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	cam.WaitFor("the end of the error", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventError && e.Message == "" })
	rec := sdktest.Run(t, recorderClass(), map[string]any{"rtspUrl": "rtsp://" + holder.Addr() + "/stream"})
	rec.WaitUnits(20)
	cam.WaitUnits(20)
	if err := cam.Update(map[string]any{"listen": holder.Addr(), "fps": 30, "sound": "pcmu", "faults": []map[string]any{{"kind": "params"}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a file of another size, in the same connection", func() bool {
		all := rec.Host().Artifacts()
		return len(all) == 2 && all[0].EndReason == recording.EndParams && strings.Contains(string(all[1].Meta), `"width":192`)
	})
	if errs := rec.Errors(); len(errs) != 0 || !strings.Contains(rec.Log(), "recording without sound") {
		t.Errorf("errors %q, log %s", errs, rec.Log())
	}
	if err := cam.Update(map[string]any{"listen": holder.Addr(), "sound": "mono"}); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("mono: %v", err)
	}
	if err := cam.Update(map[string]any{"listen": holder.Addr(), "faults": []map[string]any{{"kind": "earthquake"}}}); !errors.Is(err, protocol.ErrRefused) {
		t.Errorf("an earthquake: %v", err)
	}
	if f := cam.Stop(); f.Kind != protocol.FinishedStopped {
		t.Errorf("finished: %+v", f)
	}
	rec.WaitFor("an error", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventError && e.Message != "" })
	if f := rec.Stop(); f.Kind != protocol.FinishedStopped {
		t.Errorf("finished: %+v", f)
	}
}
