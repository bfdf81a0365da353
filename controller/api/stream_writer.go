package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// streamWriter writes to a client for a long time, and gives it up when it does not read.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	err     error // the first failure: everything after it is dropped
}

func newStreamWriter(w http.ResponseWriter, timeout time.Duration, contentType string) *streamWriter {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold it back
	s := &streamWriter{w: w, control: http.NewResponseController(w), timeout: timeout}
	w.WriteHeader(http.StatusOK)
	s.flush()
	return s
}

// write adds text; the deadline holds for it alone.
func (s *streamWriter) write(text string) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) // not every writer has one
	_, s.err = s.w.Write([]byte(text))
}

func (s *streamWriter) flush() {
	if s.err == nil {
		_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout))
		s.err = s.control.Flush()
	}
}

// event writes one event of an event stream. id may be empty: the client's last one stays.
func (s *streamWriter) event(id string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return
	}
	if id != "" {
		s.write("id: " + strings.NewReplacer("\n", "", "\r", "", "\x00", "").Replace(id) + "\n")
	}
	s.write(fmt.Sprintf("data: %s\n\n", b))
}

// comment keeps the connection alive.
func (s *streamWriter) comment(text string) {
	s.write(": " + text + "\n\n")
	s.flush()
}
