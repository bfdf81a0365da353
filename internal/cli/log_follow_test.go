package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
)

// logServer is a controller with one task whose log is asked for again and again; each time the next answer comes.
type logServer struct {
	mu      sync.Mutex
	answers []func(http.ResponseWriter)
	tails   []string
	state   skalds.State
}

func (s *logServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.URL.Path {
	case "/api/tasks/a":
		_ = json.NewEncoder(w).Encode(api.TaskResponse{ID: "a", LifecycleStatus: s.state})
	case "/api/tasks/a/logs":
		s.tails = append(s.tails, r.URL.Query().Get("tail")+" "+r.URL.Query().Get("follow"))
		next := s.answers[0]
		s.answers = s.answers[1:]
		if len(s.answers) == 0 {
			s.state = skalds.Finished
		}
		next(w)
	default:
		http.NotFound(w, r)
	}
}

// stamped is a line as hosts write it, with its newline.
func stamped(second int, text string) string {
	return fmt.Sprintf("2026-01-02T03:04:%02d.000Z [INFO ] #1 %s\n", second, text)
}

func says(lines ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = w.Write([]byte(strings.Join(lines, ""))) }
}

// breaks is says, and then the connection is gone.
func breaks(lines ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		says(lines...)(w)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func refuses(w http.ResponseWriter) {
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(api.Problem{Code: skalds.CodeUnavailable, Detail: "node a is offline"})
}

// A followed log goes on where it broke off, with no line twice, until the task has ended.
func TestFollowedLogs(t *testing.T) {
	const brokeOff = "the log broke off: it is followed again as soon as the controller answers\n"
	one, two, three, four := stamped(1, "one"), stamped(2, "two"), stamped(3, "three"), stamped(4, "four")
	long := stamped(2, strings.Repeat("long ", 40_000))
	for name, tt := range map[string]struct {
		answers []func(http.ResponseWriter)
		out     string
		err     string
		tails   string
	}{
		"to its end":          {[]func(http.ResponseWriter){says(one, two)}, one + two, "", "5 true"},
		"over a lost server":  {[]func(http.ResponseWriter){breaks(one, two), refuses, says(one, two, three)}, one + two + three, brokeOff, "5 true, 2000 true, 2000 true"},
		"over a restart":      {[]func(http.ResponseWriter){says(one), says(one, two, three)}, one + two + three, "", "5 true, 2000 true"},
		"over a broken line":  {[]func(http.ResponseWriter){breaks(one, two[:30]), says(one, two, three)}, one + two + three, brokeOff, "5 true, 2000 true"},
		"over long lines":     {[]func(http.ResponseWriter){breaks(one, long), says(one, long, three)}, one + long + three, brokeOff, "5 true, 2000 true"},
		"at the same moment":  {[]func(http.ResponseWriter){breaks(one, stamped(2, "a")), says(one, stamped(2, "a"), stamped(2, "b"))}, one + stamped(2, "a") + stamped(2, "b"), brokeOff, "5 true, 2000 true"},
		"what came meanwhile": {[]func(http.ResponseWriter){breaks(one), breaks(three), says(four)}, one + three + four, brokeOff + brokeOff, "5 true, 2000 true, 2000 true"},
		"nothing came before": {[]func(http.ResponseWriter){breaks(), says(one)}, one, brokeOff, "5 true, 5 true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := &logServer{answers: tt.answers, state: skalds.Running}
			server := httptest.NewServer(logs)
			defer server.Close()
			s := shell{env: map[string]string{"SKALDS_SERVER": server.URL}}
			s.run(t, "task", "logs", "a", "-f", "--tail", "5").check(t, 0, tt.out, tt.err)
			if got := strings.Join(logs.tails, ", "); got != tt.tails {
				t.Errorf("it asked for %s, want %s", got, tt.tails)
			}
		})
	}
	t.Run("who cannot be followed at first is told why", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { refuses(w) }))
		defer server.Close()
		s := shell{env: map[string]string{"SKALDS_SERVER": server.URL}}
		s.run(t, "task", "logs", "a", "-f").check(t, 6, "", "skalds: node a is offline\n")
	})
}
