package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/sdktest"
)

// The pieces of docs/workers.md that no other example has: they stand here so that they compile and run.

// Transfer is what a task says about the files that it fetches.
type Transfer struct {
	From    string            `json:"from" jsonschema:"required,minLength=1,description=address or folder"`
	Files   []string          `json:"files" jsonschema:"required,minItems=1"`
	Quality string            `json:"quality,omitempty" jsonschema:"enum=low,enum=high,description=what to fetch"`
	Parts   int               `json:"parts,omitempty" jsonschema:"minimum=1,maximum=100"`
	Headers map[string]string `json:"headers,omitempty"`
	Token   string            `json:"token,omitempty" jsonschema:"description=for the server; may hold ${secret:NAME}"`
}

// Fetcher fetches files. One is made for each task.
type Fetcher struct {
	fetch func(ctx context.Context, from, name string) ([]byte, error)
}

func fetcherClass(fetch func(ctx context.Context, from, name string) ([]byte, error)) sdk.ClassDef {
	return sdk.Class("Fetcher", func() sdk.Worker[Transfer] { return &Fetcher{fetch: fetch} },
		sdk.Describe("fetches files"),
		sdk.Resources(0.2, 64<<20),                       // asked for where the task asks for nothing: cores, bytes
		sdk.Limits(1, 256<<20, 100),                      // enforced where the task sets none: cores, bytes, processes and threads
		sdk.MaxPerNode(4),                                // tasks of this class on one node at a time
		sdk.Defaults(Transfer{Quality: "low", Parts: 1})) // what attachments that are left out are
}

// Main fetches one file after the other.
func (w *Fetcher) Main(ctx context.Context, t *sdk.Task[Transfer]) error {
	a := t.Attachments()
	for i, name := range a.Files {
		if err := w.one(ctx, t, name); err != nil {
			return err
		}
		t.AddUnits("files", 1)
		t.Progress(100 * float64(i+1) / float64(len(a.Files)))
		if err := t.Yield(ctx); err != nil { // a safe point: Update, Pause and Checkpoint run here
			return err
		}
	}
	return t.Result(map[string]int{"files": len(a.Files)})
}

// one fetches a file, as long as it takes.
func (w *Fetcher) one(ctx context.Context, t *sdk.Task[Transfer], name string) error {
	for {
		content, err := w.fetch(ctx, t.Attachments().From, name)
		switch {
		case err == nil:
			t.ClearError()
			return w.keep(ctx, t, name, content)
		case errors.Is(err, fs.ErrNotExist):
			return sdk.Permanent(fmt.Errorf("%s is not there, and will not be: %w", name, err))
		}
		t.Error("cannot fetch %s: %v", name, err) // shown with the task, which goes on
		if err := t.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (w *Fetcher) keep(ctx context.Context, t *sdk.Task[Transfer], name string, content []byte) error {
	path := filepath.Join(t.DataDir(), fmt.Sprintf("%s-e%d", name, t.Epoch()))
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return t.Artifact(ctx, sdk.Artifact{Kind: "file", Path: path, Bytes: int64(len(content)), EndedAt: time.Now(), EndReason: "complete"})
}

func TestGuideFetcher(t *testing.T) {
	tries := 0
	class := fetcherClass(func(_ context.Context, from, name string) ([]byte, error) {
		if name == "missing" {
			return nil, fs.ErrNotExist
		}
		if tries++; tries == 1 {
			return nil, errors.New("no route")
		}
		return []byte(from + name), nil
	})
	task := sdktest.Run(t, class, Transfer{From: "here/", Files: []string{"a", "b"}})
	if end := task.Wait(); end.Kind != protocol.FinishedCompleted {
		t.Fatalf("ended by %+v", end)
	}
	if got := task.Errors(); len(got) < 2 || !strings.Contains(got[0], "cannot fetch a: no route") || got[len(got)-1] != "" {
		t.Errorf("errors %q", got)
	}
	if got := task.Host().Artifacts(); len(got) != 2 || filepath.Base(got[1].Path) != "b-e1" {
		t.Errorf("artifacts %+v", got)
	}
	var result struct{ Files int }
	if task.Result(&result); result.Files != 2 {
		t.Errorf("result %+v", result)
	}
	if end := sdktest.Run(t, class, Transfer{From: "here/", Files: []string{"missing"}}).Wait(); !end.Permanent {
		t.Errorf("a file that is not there: ended by %+v", end)
	}
}

// Count is what a task says about its counting.
type Count struct {
	To int `json:"to" jsonschema:"required,minimum=1"`
}

// Counter counts and remembers how far it has come.
type Counter struct {
	at      int
	restart func(n int) bool
}

// Restore runs ahead of Main where a former attempt has saved something.
func (c *Counter) Restore(_ context.Context, _ *sdk.Task[Count], state []byte) error {
	_, err := fmt.Sscan(string(state), &c.at)
	return err
}

// Checkpoint gives the state when the host asks for it.
func (c *Counter) Checkpoint(context.Context, *sdk.Task[Count]) ([]byte, error) {
	return fmt.Append(nil, c.at), nil
}

// Main goes on where the former attempt was.
func (c *Counter) Main(ctx context.Context, t *sdk.Task[Count]) error {
	for c.at < t.Attachments().To {
		c.at++
		t.Units("numbers", int64(c.at))
		if err := t.SaveCheckpoint(ctx, fmt.Append(nil, c.at)); err != nil {
			return err
		}
		if c.restart(c.at) {
			return errors.New("something broke")
		}
	}
	return nil
}

func TestGuideCounter(t *testing.T) {
	began := 0
	class := sdk.Class("Counter", func() sdk.Worker[Count] {
		return &Counter{restart: func(n int) bool { began++; return n == 3 }}
	})
	host := sdktest.NewHost(nil)
	if end := sdktest.Run(t, class, Count{To: 5}, sdktest.Options{Host: host}).Wait(); end.Kind != protocol.FinishedError {
		t.Fatalf("ended by %+v", end)
	}
	next := sdktest.Run(t, class, Count{To: 5}, sdktest.Options{Host: host, Attempt: 2, Checkpoint: host.Checkpoint()})
	if end := next.Wait(); end.Kind != protocol.FinishedCompleted {
		t.Fatalf("ended by %+v", end)
	}
	if began != 5 {
		t.Errorf("%d steps for 5 numbers: the second attempt did not go on where the first was", began)
	}
}

// signIn keeps a session for all attempts of the task.
func signIn[A any](ctx context.Context, t *sdk.Task[A], login func(password string) (session []byte, err error)) ([]byte, error) {
	session, found, err := t.CacheGet(ctx, "session")
	if err != nil {
		t.Log().Warn("the cache does not answer", "err", err) // it is a cache: go on without
	}
	if found {
		return session, nil
	}
	password, err := t.Secret(ctx, "camera-password")
	if err != nil {
		return nil, err
	}
	if session, err = login(password); err != nil {
		return nil, err
	}
	return session, t.CacheSet(ctx, "session", session, 10*time.Minute)
}

// Viewer looks at what a child process prints.
type Viewer struct{ logins int }

// Main runs a program of its own and waits for it.
func (v *Viewer) Main(ctx context.Context, t *sdk.Task[Count]) error {
	for range 2 {
		if _, err := signIn(ctx, t, func(p string) ([]byte, error) { v.logins++; return []byte("session of " + p), nil }); err != nil {
			return err
		}
	}
	probe := sdk.Command(ctx, "sh", "-c", "echo seen by the child")
	var out strings.Builder
	probe.Stdout = &out // left alone, it goes to the task's log
	if err := probe.Run(); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	return t.Result(fmt.Sprintf("%s, %d login", strings.TrimSpace(out.String()), v.logins))
}

func TestGuideViewer(t *testing.T) {
	class := sdk.Class("Viewer", func() sdk.Worker[Count] { return &Viewer{} })
	task := sdktest.Run(t, class, Count{To: 1}, sdktest.Options{Host: sdktest.NewHost(map[string]string{"camera-password": "hush"})})
	if end := task.Wait(); end.Kind != protocol.FinishedCompleted {
		t.Fatalf("ended by %+v", end)
	}
	var got string
	if task.Result(&got); got != "seen by the child, 1 login" {
		t.Errorf("result %q", got)
	}
	if v, ttl, _ := task.Host().Cached("session"); string(v) != "session of hush" || ttl != 10*time.Minute {
		t.Errorf("cached %q for %s", v, ttl)
	}
}
