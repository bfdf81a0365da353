package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds/examples/rtsp-worker/fmp4"
	"github.com/skalds-go/skalds/examples/rtsp-worker/recording"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// startWorker runs the worker as a process of its own, without a host.
func startWorker(t *testing.T, dir, url string) *exec.Cmd {
	t.Helper()
	attachments, err := json.Marshal(map[string]any{"rtspUrl": url})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "run", "--class", "RTSPRecorder", "--data-dir", dir, "--attachments", string(attachments))
	cmd.Env = append(os.Environ(), envWorker+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(dir, "*.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func walk(t *testing.T, path string) fmp4.Info {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	info, err := fmp4.Walk(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestKill kills the worker while it records: the file plays to within one part (two pictures here) and one picture of the kill,
// without repair, and the next process notes what happened.
func TestKill(t *testing.T) {
	t.Parallel()
	for trial := range 4 {
		clip, codec := "320x180", video.H264
		if trial%2 == 1 {
			clip, codec = "320x180-h265", video.H265
		}
		sound := rtsptest.SoundNone
		if trial >= 2 {
			sound = rtsptest.SoundAAC
		}
		t.Run(fmt.Sprintf("%d %s %s", trial, codec, sound), func(t *testing.T) {
			t.Parallel()
			cam := startCamera(t, rtsptest.Config{User: "u", Password: secret, Clip: clip, Sound: sound})
			dir := t.TempDir()
			cmd := startWorker(t, dir, cam.URL())
			frames := int64(12 + 3*trial)
			eventually(t, "pictures", func() bool { return cam.FramesSent() >= frames && len(files(t, dir)) == 1 })
			sent := cam.FramesSent()
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			path := files(t, dir)[0]
			info := walk(t, path)
			const part, picture, busy = 2, 1, 2 // busy: the machine may not have run the worker for two pictures
			if missing := sent - int64(info.Frames); missing > part+picture+busy {
				t.Errorf("%d of %d pictures are missing", missing, sent)
			}
			if info.Codec != codec || info.Sound != (sound == rtsptest.SoundAAC) {
				t.Errorf("recorded as %q, sound %v", info.Codec, info.Sound)
			}
			if info.EndReason != "" {
				t.Errorf("a killed worker said %q", info.EndReason)
			}
			plays(t, path, info)

			again := startWorker(t, dir, cam.URL())
			eventually(t, "the repair and a second file", func() bool { return walk(t, path).EndReason == recording.EndCrash && len(files(t, dir)) == 2 })
			if got := walk(t, path).Frames; got != info.Frames {
				t.Errorf("the repair left %d of %d pictures", got, info.Frames)
			}
			plays(t, path, info)
			if err := again.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := again.Wait(); err != nil {
				t.Errorf("stopped worker: %v", err)
			}
			if got := walk(t, files(t, dir)[1]).EndReason; got != recording.EndStop {
				t.Errorf("a stopped worker said %q", got)
			}
		})
	}
}

// plays lets ffmpeg decode the file, where it is installed.
func plays(t *testing.T, path string, info fmp4.Info) {
	t.Helper()
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		t.Log("ffprobe is not installed: not checked with it")
		return
	}
	out, err := exec.Command(ffprobe, "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path).CombinedOutput()
	pictures, rest, _ := strings.Cut(string(out), "\n")
	if err != nil || pictures != fmt.Sprint(info.Frames) {
		t.Errorf("ffprobe: %s, %v, want %d frames", out, err, info.Frames)
	}
	frames := int(info.Duration.Seconds() / 0.064)
	if n, err := strconv.Atoi(strings.TrimSpace(rest)); info.Sound && (err != nil || n < frames-6 || n > frames+1) || !info.Sound && rest != "" {
		t.Errorf("ffprobe: %s, want %d frames of sound", rest, frames)
	}
}
