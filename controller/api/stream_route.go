package api

import (
	"net/http"
	"time"
)

// deliver takes what a host posts for a stream that a client waits for. The host shows the token of its request, not that
// of a client. The body may last for hours, so no deadline of the server holds for it.
func (r *routes) deliver(w http.ResponseWriter, req *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // not every connection has deadlines
	_ = control.SetWriteDeadline(time.Time{})
	if err := r.streams.Deliver(req.Context(), req.PathValue("id"), bearer(req), req.Body); err != nil {
		r.writeProblem(w, r.problem(req.Context(), err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
