package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
)

// envWorker makes the test binary be the worker.
const envWorker = "RTSP_WORKER_TEST_IS_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(envWorker) != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func startCamera(t *testing.T, cfg rtsptest.Config) *rtsptest.Camera {
	t.Helper()
	cam, err := rtsptest.NewCamera(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- cam.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("camera: %v", err)
		}
	})
	return cam
}
