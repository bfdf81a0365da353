package rtsptest

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestForeignClient lets ffmpeg, a client that is not ours, play the camera, where it is installed.
func TestForeignClient(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	for _, way := range [][3]string{
		{"tcp", "320x180", SoundAAC},
		{"udp", "320x180", SoundNone},
		{"tcp", "320x180-h265", SoundNone},
		{"udp", "192x108-h265", SoundAAC},
		{"tcp", "192x108", SoundPCMU},
	} {
		transport, clip, sound := way[0], way[1], way[2]
		t.Run(transport+" "+clip+" "+sound, func(t *testing.T) {
			c, err := NewCamera(Config{User: "u", Password: "p", FPS: 30, Clip: clip, Sound: sound}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- c.Run(ctx) }()
			play, stop := context.WithTimeout(ctx, 30*time.Second)
			defer stop()
			file := filepath.Join(t.TempDir(), "out.mkv")
			out, err := exec.CommandContext(play, ffmpeg, "-v", "error", "-rtsp_transport", transport, "-i", c.URL(), "-c", "copy", "-frames:v", "30", file).CombinedOutput()
			if err != nil || strings.Contains(string(out), "401") {
				t.Errorf("ffmpeg: %v: %s", err, out)
			}
			codec := map[string]string{SoundAAC: "aac", SoundPCMU: "pcm_mulaw"}[sound]
			out, err = exec.CommandContext(play, ffmpeg, "-hide_banner", "-i", file).CombinedOutput() // without an output it ends with an error
			if err == nil || strings.Contains(string(out), "Audio: ") != (codec != "") || !strings.Contains(string(out), codec) {
				t.Errorf("sound %s: %s", sound, out)
			}
			if codec != "" {
				out, err = exec.CommandContext(play, ffmpeg, "-v", "error", "-i", file, "-vn", "-f", "null", "-").CombinedOutput()
				if err != nil || len(out) > 0 {
					t.Errorf("ffmpeg does not decode sound %s: %v: %s", sound, err, out)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	for _, bad := range []Config{{Auth: "ntlm"}, {Clip: "8k"}, {FPS: 1000}, {Sound: "mono"}, {SoundDelay: -1}, {MaxSessions: -1}, {Faults: []Fault{{Kind: "earthquake"}}}, {Faults: []Fault{{Kind: FaultLoss, Rate: 2}}}} {
		if _, err := NewCamera(bad, nil); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := NewCamera(Config{Listen: l.Addr().String()}, nil); err == nil || !strings.Contains(err.Error(), "choose another listen address") {
		t.Errorf("a taken port: %v", err)
	}
}
