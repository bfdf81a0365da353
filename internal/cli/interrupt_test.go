package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/controllertest"
)

func TestInterrupted(t *testing.T) {
	w := start(t)
	w.Host.Behave = controllertest.ForEver
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan result, 1)
	go func() { done <- w.runIn(t, ctx, "task", "create", "Demo", "--id", "a", "--wait") }()
	w.Until(t, "it runs", func() bool {
		got, err := w.cl.Task(t.Context(), "a")
		return err == nil && got.LifecycleStatus == skalds.Running
	})
	cancel()
	(<-done).check(t, 130, "task a created\n", "task a goes on: `skalds task wait a` waits for it again, `skalds task cancel a` ends it\nskalds: interrupted\n")

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	more, line := io.Pipe()
	go func() {
		_, _ = line.Write([]byte("one\n")) // returns when it is on its way
		cancel()
	}()
	before := len(w.Host.Received())
	go func() { done <- w.runIn(t, ctx, "task", "logs", "a", "-f") }()
	var asked *skalds.StreamRequest
	w.Until(t, "the host is asked for the log", func() bool {
		for _, m := range w.Host.Received()[before:] {
			if m.Stream != nil {
				asked = m.Stream
			}
		}
		return asked != nil
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, asked.URL, more)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+asked.Token)
	posted := make(chan struct{})
	go func() { // as a host does
		defer close(posted)
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close() // only its end matters
		}
	}()
	r := <-done
	r.check(t, 130, r.out, "skalds: interrupted\n")
	if err := line.Close(); err != nil {
		t.Error(err)
	}
	<-posted
}

// changing is a controller whose task changes under whoever updates it.
func changing(t *testing.T, revisions ...int64) (shell, *[]string) {
	t.Helper()
	var puts []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a any = api.TaskResponse{ID: "a", LifecycleStatus: skalds.Running, Revision: revisions[0], Attachments: json.RawMessage(`{"m":1}`)}
		if r.Method == http.MethodPut {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			puts = append(puts, r.Header.Get("If-Match")+" "+string(b))
			a = api.Done[api.TaskAttachments]{Success: true, Data: api.TaskAttachments{TaskID: "a", Attachments: json.RawMessage(`{}`), Revision: 99}}
			if len(revisions) > 1 {
				revisions = revisions[1:]
				a = api.Problem{Code: skalds.CodeConflict, Detail: "task a has changed"}
				w.WriteHeader(http.StatusPreconditionFailed)
			}
		}
		if err := json.NewEncoder(w).Encode(a); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return shell{env: map[string]string{"SKALDS_SERVER": s.URL}}, &puts
}

func TestUpdateMergesAnew(t *testing.T) {
	s, puts := changing(t, 5, 6, 7)
	s.run(t, "task", "update", "a", "--set", "n=2").check(t, 0, "…(revision 99)", "")
	if got := strings.Join(*puts, "\n"); got != `"5" {"attachments":{"m":1,"n":2}}`+"\n"+`"6" {"attachments":{"m":1,"n":2}}`+"\n"+`"7" {"attachments":{"m":1,"n":2}}` {
		t.Errorf("sent %s", got)
	}
	s, puts = changing(t, 5, 5)
	s.run(t, "task", "update", "a", "--set", "n=2").check(t, 5, "", "skalds: task a has changed\n")
	if len(*puts) != 1 {
		t.Errorf("sent %v", *puts)
	}
	s, puts = changing(t, 5, 6)
	s.run(t, "task", "update", "a", "--attachments", `{"x":1}`).check(t, 5, "", "skalds: task a has changed\n")
	if len(*puts) != 1 || (*puts)[0] != ` {"attachments":{"x":1}}` {
		t.Errorf("sent %v", *puts)
	}
}
