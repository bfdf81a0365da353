package api

import (
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/masking"
)

// deliver takes what a host posts for a stream that a client waits for, or the reason why it cannot. The host shows the
// token of its request, not that of a client. The body may last for hours, so no deadline of the server holds for it.
func (r *routes) deliver(w http.ResponseWriter, req *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // not every connection has deadlines
	_ = control.SetWriteDeadline(time.Time{})
	body := &hostBody{from: req.Body, control: control}
	var err error
	if reason := req.Header.Get(skalds.StreamRefusedHeader); reason != "" {
		err = r.streams.Refuse(req.PathValue("id"), bearer(req), masking.Text(reason))
	} else {
		err = r.streams.Deliver(req.Context(), req.PathValue("id"), bearer(req), body)
	}
	if !body.finish() {
		w.Header().Set("Connection", "close") // the server would read on before it answers
	}
	if err != nil {
		r.writeProblem(w, r.problem(req.Context(), err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// hostBody is what a host posts. Closing it wakes a Read that waits: closing the request's own body would wait for that
// Read.
type hostBody struct {
	from    io.Reader
	control *http.ResponseController

	mu    sync.Mutex // guards all below
	ended bool       // read to its end
	over  bool       // the connection may be the next request's
}

func (b *hostBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if err == io.EOF {
		b.mu.Lock()
		b.ended = true
		b.mu.Unlock()
	}
	return n, err
}

func (b *hostBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over || b.ended {
		return nil
	}
	return b.control.SetReadDeadline(time.Unix(1, 0))
}

// finish ends the reading and reports whether everything was read.
func (b *hostBody) finish() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.ended
}
