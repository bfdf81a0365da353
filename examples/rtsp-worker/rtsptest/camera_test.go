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
	for _, way := range [][2]string{{"tcp", "320x180"}, {"udp", "320x180"}, {"tcp", "320x180-h265"}, {"udp", "192x108-h265"}} {
		transport, clip := way[0], way[1]
		t.Run(transport+" "+clip, func(t *testing.T) {
			c, err := NewCamera(Config{User: "u", Password: "p", FPS: 30, Clip: clip}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- c.Run(ctx) }()
			play, stop := context.WithTimeout(ctx, 30*time.Second)
			defer stop()
			file := filepath.Join(t.TempDir(), "out.mp4")
			out, err := exec.CommandContext(play, ffmpeg, "-v", "error", "-rtsp_transport", transport, "-i", c.URL(), "-c", "copy", "-frames:v", "30", file).CombinedOutput()
			if err != nil || strings.Contains(string(out), "401") {
				t.Errorf("ffmpeg: %v: %s", err, out)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfigValidate(t *testing.T) {
	for _, bad := range []Config{{Auth: "ntlm"}, {Clip: "8k"}, {FPS: 1000}, {MaxSessions: -1}, {Faults: []Fault{{Kind: "earthquake"}}}, {Faults: []Fault{{Kind: FaultLoss, Rate: 2}}}} {
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
