package dashboard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// between is a server before the world's that answers the log's requests itself, one after the other.
func between(t *testing.T, world string, logs ...http.HandlerFunc) string {
	t.Helper()
	u, err := url.Parse(world)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/logs") {
			proxy.ServeHTTP(w, r)
			return
		}
		n := int(asked.Add(1))
		if n > len(logs) {
			http.Error(w, "no more is to be told", http.StatusNotFound)
			return
		}
		logs[n-1](w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections() // the page listens for ever
		s.Close()
	})
	return s.URL
}

// logEvents writes lines as a log's event stream, and after them its end where there is one.
func logEvents(w http.ResponseWriter, end bool, lines ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, l := range lines {
		_, _ = fmt.Fprintf(w, "data: {\"type\":\"log\",\"line\":%q}\n\n", l)
	}
	if end {
		_, _ = fmt.Fprint(w, "data: {\"type\":\"end\"}\n\n")
	}
	_ = http.NewResponseController(w).Flush()
}

// A log goes on over every loss of the server, with no line twice, and ends only where the server says so.
func TestABrowserFollowsALogOverLosses(t *testing.T) {
	b := openBrowser(t)
	address := between(t, world(t),
		func(w http.ResponseWriter, _ *http.Request) { // killed
			logEvents(w, false, "one", "two")
			panic(http.ErrAbortHandler)
		},
		func(w http.ResponseWriter, _ *http.Request) { // not there yet
			http.Error(w, `{"detail":"its node is offline"}`, http.StatusServiceUnavailable)
		},
		func(w http.ResponseWriter, _ *http.Request) { // stopped in good order
			logEvents(w, false, "one", "two", "three")
		},
		func(w http.ResponseWriter, _ *http.Request) {
			logEvents(w, true, "two", "three", "four")
		})
	b.goTo(address + "/dashboard#/task/camera%201%2Ffront")
	b.becomes(`document.querySelector("#log-state")?.textContent`, "the log has ended")
	if got := b.eval(`document.querySelector("#log").textContent`); got != "two\nthree\nfour\n" {
		t.Errorf("the log reads %q", got)
	}
}
