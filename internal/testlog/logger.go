package testlog

import (
	"bytes"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// New is a logger of level Trace that writes to t.Log. Lines that arrive after the test has ended are dropped, because
// t.Log would panic: a component that logs then has outlived its test, which the test itself must notice.
func New(t testing.TB) hclog.Logger {
	w := &writer{t: t}
	t.Cleanup(w.end)
	return hclog.New(&hclog.LoggerOptions{
		Level:             hclog.Trace,
		Output:            w,
		TimeFormat:        "15:04:05.000",
		IndependentLevels: true,
	})
}

type writer struct {
	mu    sync.Mutex // guards ended, and t.Log against the end of the test
	t     testing.TB
	ended bool
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.t.Helper()
		w.t.Log(string(bytes.TrimRight(p, "\n")))
	}
	return len(p), nil
}

func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}
