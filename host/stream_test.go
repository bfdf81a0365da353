package host

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// logPost is one log that a host has posted.
type logPost struct {
	token string
	lines chan string // closed at the end
}

// logSink is the controller's end of streams.
func logSink(t testing.TB) (*httptest.Server, chan logPost) {
	t.Helper()
	posts := make(chan logPost, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p := logPost{r.Header.Get("Authorization"), make(chan string, 1000)}
		posts <- p
		sc := bufio.NewScanner(r.Body)
		for sc.Scan() {
			p.lines <- sc.Text()
		}
		close(p.lines)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(srv.Close)
	return srv, posts
}

func TestLogsAreStreamedToTheControllerThatAsks(t *testing.T) {
	srv, posts := logSink(t)
	b, _, _ := nodeHost(t)
	c := command(scriptSpec("a", "Script", script{Do: "wait"}), 1, 1)
	b.send(c)
	waitRunning(t, b, "a", 1)
	ask := skalds.StreamRequest{ID: "s1", URL: srv.URL, Token: "t0ken", Kind: "logs", TaskID: "a", Tail: 50, Follow: true}
	b.commands <- skalds.NodeMessage{NodeID: "n1", Stream: &ask}
	p := <-posts
	if p.token != "Bearer t0ken" {
		t.Errorf("authorization %q", p.token)
	}
	for line := range p.lines {
		if strings.Contains(line, "doing") {
			break
		}
	}
	b.send(gone(c, "cancelled", 2))
	ended := false
	for line := range p.lines { // the stream ends with the task
		ended = ended || strings.Contains(line, "cancelled")
	}
	if !ended {
		t.Error("the follower did not see the end")
	}
	ask.Follow = false
	b.commands <- skalds.NodeMessage{NodeID: "n1", Stream: &ask}
	p = <-posts
	var all string
	for line := range p.lines {
		all += line + "\n"
	}
	if !strings.Contains(all, "doing") {
		t.Errorf("the log of an ended task: %q", all)
	}
}

func TestAHostThatServesTooManyLogsSaysSo(t *testing.T) {
	refused := make(chan http.Header, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { refused <- r.Header }))
	t.Cleanup(srv.Close)
	s := newStreams(nil, hclog.NewNullLogger())
	for range maxStreams {
		s.slots <- struct{}{}
	}
	s.serve(t.Context(), skalds.StreamRequest{ID: "s1", URL: srv.URL, Token: "t0ken", Kind: "logs", TaskID: "a"})
	h := <-refused
	if h.Get("Authorization") != "Bearer t0ken" || !strings.HasPrefix(h.Get(skalds.StreamRefusedHeader), "64 logs are being read there already") {
		t.Errorf("came %v", h)
	}
	s.close()
}

// A controller that dies must not keep a stream of a task that says nothing.
func TestAStreamEndsWithItsConnection(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = bufio.NewReader(r.Body).ReadString('\n')
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = c.Close()
	}))
	t.Cleanup(srv.Close)
	s := newStreams(nil, hclog.NewNullLogger())
	body, lines := io.Pipe()
	go func() { _, _ = io.WriteString(lines, "first\n") }()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.send(r, skalds.StreamRequest{}, func() { _ = body.Close() }) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the end of the connection is no error")
		}
	case <-time.After(30 * time.Second):
		_ = body.Close()
		t.Error("the stream goes on without its connection")
	}
}
