package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/sdktest"
)

type attachments struct {
	URL   string `json:"url,omitempty"`
	Frame int    `json:"fixFrame,omitempty" jsonschema:"minimum=0"`
	Inner struct {
		Deep int `json:"deep,omitempty"`
	} `json:"inner,omitzero"`
}

// diary notes which hooks ran, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

// everything implements every hook; fail says which hook returns an error or panics.
type everything struct {
	d    *diary
	fail map[string]func() error
	main func(ctx context.Context, t *sdk.Task[attachments]) error
}

func (w *everything) hook(name string) error {
	w.d.note("%s", name)
	if f := w.fail[name]; f != nil {
		return f()
	}
	return nil
}

func (w *everything) Before(context.Context, *sdk.Task[attachments]) error { return w.hook("Before") }

func (w *everything) After(context.Context, *sdk.Task[attachments]) error { return w.hook("After") }

func (w *everything) Release(context.Context, *sdk.Task[attachments]) error { return w.hook("Release") }

func (w *everything) OnError(_ context.Context, _ *sdk.Task[attachments], err error) {
	w.d.note("OnError(%v)", err)
	if f := w.fail["OnError"]; f != nil {
		_ = f()
	}
}

func (w *everything) Pause(context.Context, *sdk.Task[attachments]) error { return w.hook("Pause") }

func (w *everything) Resume(context.Context, *sdk.Task[attachments]) error { return w.hook("Resume") }

func (w *everything) Update(_ context.Context, t *sdk.Task[attachments], old attachments) error {
	return w.hook(fmt.Sprintf("Update(%d→%d)", old.Frame, t.Attachments().Frame))
}

func (w *everything) Checkpoint(context.Context, *sdk.Task[attachments]) ([]byte, error) {
	return []byte("state"), w.hook("Checkpoint")
}

func (w *everything) Restore(_ context.Context, _ *sdk.Task[attachments], state []byte) error {
	return w.hook("Restore(" + string(state) + ")")
}

func (w *everything) OnPressure(_ context.Context, _ *sdk.Task[attachments], p sdk.Pressure) (int64, error) {
	return p.Bytes / 2, w.hook("OnPressure " + p.Level.String())
}

func (w *everything) Main(ctx context.Context, t *sdk.Task[attachments]) error {
	if err := w.hook("Main"); err != nil || w.main == nil {
		return err
	}
	return w.main(ctx, t)
}

func class(w sdk.Worker[attachments], opts ...sdk.ClassOption) sdk.ClassDef {
	return sdk.Class("Thing", func() sdk.Worker[attachments] { return w }, opts...)
}

func untilStopped(ctx context.Context, t *sdk.Task[attachments]) error {
	for {
		t.AddUnits("rounds", 1)
		if err := t.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

func TestHookOrder(t *testing.T) {
	boom := errors.New("boom")
	fails := func() error { return boom }
	panics := func() error { panic("boom") }
	tests := []struct {
		name       string
		fail       map[string]func() error
		checkpoint string
		want       []string
		end        protocol.Finished
	}{
		{"all well", nil, "", []string{"Before", "Main", "After", "Release"}, protocol.Finished{Kind: protocol.FinishedCompleted}},
		{"from a checkpoint", nil, "s", []string{"Restore(s)", "Before", "Main", "After", "Release"}, protocol.Finished{Kind: protocol.FinishedCompleted}},
		{"Restore fails", map[string]func() error{"Restore(s)": fails}, "s", []string{"Restore(s)", "OnError(boom)", "Release"}, protocol.Finished{Kind: protocol.FinishedError, Hook: "Restore", Message: "boom"}},
		{"Before fails", map[string]func() error{"Before": fails}, "", []string{"Before", "OnError(boom)", "Release"}, protocol.Finished{Kind: protocol.FinishedError, Hook: "Before", Message: "boom"}},
		{"Before panics", map[string]func() error{"Before": panics}, "", []string{"Before", "OnError(panic: boom)", "Release"}, protocol.Finished{Kind: protocol.FinishedPanic, Hook: "Before", Message: "panic: boom"}},
		{"Main fails", map[string]func() error{"Main": fails}, "", []string{"Before", "Main", "OnError(boom)", "Release"}, protocol.Finished{Kind: protocol.FinishedError, Hook: "Main", Message: "boom"}},
		{"Main fails for good", map[string]func() error{"Main": func() error { return fmt.Errorf("sorry: %w", sdk.Permanent(boom)) }}, "", []string{"Before", "Main", "OnError(sorry: boom)", "Release"}, protocol.Finished{Kind: protocol.FinishedError, Hook: "Main", Message: "sorry: boom", Permanent: true}},
		{"Main panics", map[string]func() error{"Main": panics}, "", []string{"Before", "Main", "OnError(panic: boom)", "Release"}, protocol.Finished{Kind: protocol.FinishedPanic, Hook: "Main", Message: "panic: boom"}},
		{"After fails", map[string]func() error{"After": fails}, "", []string{"Before", "Main", "After", "OnError(boom)", "Release"}, protocol.Finished{Kind: protocol.FinishedError, Hook: "After", Message: "boom"}},
		{"Release fails", map[string]func() error{"Release": fails}, "", []string{"Before", "Main", "After", "Release"}, protocol.Finished{Kind: protocol.FinishedError, Hook: "Release", Message: "boom"}},
		{"Release panics", map[string]func() error{"Release": panics}, "", []string{"Before", "Main", "After", "Release"}, protocol.Finished{Kind: protocol.FinishedPanic, Hook: "Release", Message: "panic: boom"}},
		{"OnError panics too", map[string]func() error{"Main": fails, "OnError": panics}, "", []string{"Before", "Main", "OnError(boom)", "Release"}, protocol.Finished{Kind: protocol.FinishedError, Hook: "Main", Message: "boom"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &everything{d: &diary{}, fail: tt.fail}
			task := sdktest.Run(t, class(w), attachments{}, sdktest.Options{Checkpoint: []byte(tt.checkpoint)})
			end := task.Wait()
			if end.Kind == protocol.FinishedPanic && !strings.Contains(end.Stack, "hooks_test.go") {
				t.Errorf("the stack does not name where it happened:\n%s", end.Stack)
			}
			end.Stack = ""
			if diff := cmp.Diff(tt.end, end); diff != "" {
				t.Errorf("last word (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, w.d.read()); diff != "" {
				t.Errorf("hooks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStopRunsReleaseAndNoOtherHook(t *testing.T) {
	w := &everything{d: &diary{}, main: untilStopped}
	task := sdktest.Run(t, class(w), attachments{})
	task.WaitUnits(1)
	if end := task.Stop(); end.Kind != protocol.FinishedStopped {
		t.Errorf("ended by %+v, want stopped", end)
	}
	if diff := cmp.Diff([]string{"Before", "Main", "Release"}, w.d.read()); diff != "" {
		t.Errorf("hooks (-want +got):\n%s", diff)
	}
}

func TestUpdatePauseResumeCheckpointPressure(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		t.Run(fmt.Sprintf("concurrent=%v", concurrent), func(t *testing.T) {
			w := &everything{d: &diary{}, main: untilStopped, fail: map[string]func() error{"Update(2→3)": func() error { return errors.New("three is too many") }}}
			var opts []sdk.ClassOption
			if concurrent {
				opts = append(opts, sdk.ConcurrentHooks())
			}
			task := sdktest.Run(t, class(w, opts...), attachments{Frame: 1})
			if err := task.Update(attachments{Frame: 2}); err != nil {
				t.Fatal(err)
			}
			if err := task.Update(attachments{Frame: 3}); !errors.Is(err, protocol.ErrRefused) || !strings.Contains(err.Error(), "three is too many") {
				t.Fatalf("got %v, want the refusal", err)
			}
			task.WaitUnits(1)
			if err := task.Pause(); err != nil {
				t.Fatal(err)
			}
			if err := task.Update(attachments{Frame: 4}); err != nil { // also while paused; from 2: the refused 3 did not stay
				t.Fatal(err)
			}
			if state, err := task.Checkpoint(); err != nil || string(state) != "state" {
				t.Fatalf("checkpoint: %q, %v", state, err)
			}
			if freed, err := task.Pressure(sdk.Pressure{Level: sdk.PressureHard, Bytes: 100}); err != nil || freed != 50 {
				t.Fatalf("pressure: %d, %v", freed, err)
			}
			if err := task.Resume(); err != nil {
				t.Fatal(err)
			}
			task.WaitUnits(task.Progress().Units + 1)
			task.Stop()
			want := []string{"Before", "Main", "Update(1→2)", "Update(2→3)", "Pause", "Update(2→4)", "Checkpoint", "OnPressure hard", "Resume", "Release"}
			got := slices.DeleteFunc(w.d.read(), func(s string) bool { return concurrent && (s == "Before" || s == "Main") })
			if concurrent { // the first update may come before Main
				want = want[2:]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("hooks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPausedTaskDoesNotMove(t *testing.T) {
	w := &everything{d: &diary{}, main: untilStopped}
	task := sdktest.Run(t, class(w), attachments{})
	task.WaitUnits(1)
	if err := task.Pause(); err != nil {
		t.Fatal(err)
	}
	before := task.Progress().Units
	// Three updates, each served by the held goroutine, are proof that it is there and yet does not count.
	for i := range 3 {
		if err := task.Update(attachments{Frame: i}); err != nil {
			t.Fatal(err)
		}
	}
	if end := task.Stop(); end.Kind != protocol.FinishedStopped { // a stop ends a pause
		t.Fatalf("ended by %+v", end)
	}
	if got := task.Progress().Units; got > before+1 { // one may have been on its way
		t.Errorf("counted %d units while paused", got-before)
	}
}

// latePauser returns from Pause when nobody waits for it any more.
type latePauser struct{ *everything }

func (w latePauser) Pause(ctx context.Context, t *sdk.Task[attachments]) error {
	<-ctx.Done()
	return w.everything.Pause(ctx, t)
}

// A host that waits no longer freezes the process; what it thaws must not stand still.
func TestAPauseThatComesTooLateIsTakenBack(t *testing.T) {
	for _, concurrent := range []bool{false, true} {
		t.Run(fmt.Sprintf("concurrent=%v", concurrent), func(t *testing.T) {
			d := &diary{}
			w := latePauser{&everything{d: d, main: untilStopped}}
			var opts []sdk.ClassOption
			if concurrent {
				opts = append(opts, sdk.ConcurrentHooks())
			}
			task := sdktest.Run(t, class(w, opts...), attachments{}, sdktest.Options{Deadline: 500 * time.Millisecond})
			task.WaitUnits(1)
			if err := task.Pause(); err == nil {
				t.Error("paused in time")
			}
			for deadline := time.Now().Add(20 * time.Second); !slices.Contains(d.read(), "Resume") && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			task.WaitUnits(task.Progress().Units + 3) // it goes on
			if err := task.Resume(); err != nil {
				t.Error(err)
			}
			if got, want := d.read(), []string{"Before", "Main", "Pause", "Resume"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// onlyMain has no hook at all.
type onlyMain func(ctx context.Context, t *sdk.Task[attachments]) error

func (f onlyMain) Main(ctx context.Context, t *sdk.Task[attachments]) error { return f(ctx, t) }

func TestWithoutHooks(t *testing.T) {
	seen := make(chan int)
	task := sdktest.Run(t, class(onlyMain(func(ctx context.Context, t *sdk.Task[attachments]) error {
		for {
			select {
			case seen <- t.Attachments().Frame:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})), attachments{Frame: 1})
	if got := <-seen; got != 1 {
		t.Fatalf("starts with %d", got)
	}
	// Main neither sleeps nor yields: without an Update hook the value is exchanged all the same.
	if err := task.Update(attachments{Frame: 2}); err != nil {
		t.Fatal(err)
	}
	for got := range seen {
		if got == 2 {
			break
		}
	}
	for name, call := range map[string]func() error{
		"pause": task.Pause, "resume": task.Resume,
		"checkpoint": func() error { _, err := task.Checkpoint(); return err },
		"pressure":   func() error { _, err := task.Pressure(sdk.Pressure{Level: sdk.PressureSoft, Bytes: 1}); return err },
	} {
		if err := call(); !errors.Is(err, protocol.ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrUnsupported", name, err)
		}
	}
	go func() {
		for range seen { // let Main come round to its context
		}
	}()
	task.Stop()
	close(seen)
	if err := task.Update(attachments{}); err == nil {
		t.Error("updated a task that has ended")
	}
	if diff := cmp.Diff([]string{"update"}, task.Class().Capabilities); diff != "" {
		t.Errorf("capabilities (-want +got):\n%s", diff)
	}
}

func TestUpdateWithoutSafePoint(t *testing.T) {
	leave := make(chan struct{})
	w := &everything{d: &diary{}, main: func(context.Context, *sdk.Task[attachments]) error { <-leave; return nil }}
	task := sdktest.Run(t, class(w), attachments{}, sdktest.Options{Deadline: 300 * time.Millisecond})
	task.WaitStarted()
	err := task.Update(attachments{Frame: 9})
	if err == nil {
		t.Error("Main reached no safe point, and yet the update came through")
	}
	close(leave)
	if end := task.Wait(); end.Kind != protocol.FinishedCompleted {
		t.Errorf("ended by %+v", end)
	}
	if got := w.d.read(); slices.Contains(got, "Update(0→9)") {
		t.Errorf("the withdrawn update ran after all: %v", got)
	}
}

func TestWrongAttachments(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"unknown field", `{"fixFrames":1}`, `attachments: unknown field "fixFrames"`},
		{"wrong type", `{"fixFrame":"many"}`, "attachments.fixFrame: string does not fit, want int"},
		{"wrong type inside", `{"inner":{"deep":true}}`, "attachments.inner.deep: bool does not fit, want int"},
		{"no object", `[1]`, "attachments: array does not fit"},
		{"unknown secret", `{"url":"${secret:nobody}"}`, "attachments: read secret nobody: no such secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &everything{d: &diary{}}
			end := sdktest.Run(t, class(w), json.RawMessage(tt.doc), sdktest.Options{NoSchema: true}).Wait()
			if end.Kind != protocol.FinishedError || !end.Permanent || end.Hook != "attachments" || !strings.Contains(end.Message, tt.want) {
				t.Errorf("got %+v, want a permanent error %q", end, tt.want)
			}
			if got := w.d.read(); len(got) > 0 {
				t.Errorf("hooks ran: %v", got)
			}

			running := sdktest.Run(t, class(&everything{d: &diary{}, main: untilStopped}), attachments{Frame: 7}, sdktest.Options{NoSchema: true})
			if err := running.Update(json.RawMessage(tt.doc)); !errors.Is(err, protocol.ErrRefused) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("update: got %v, want the refusal %q", err, tt.want)
			}
		})
	}
}

func TestSecretsAreFilledIn(t *testing.T) {
	got := make(chan string, 1)
	host := sdktest.NewHost(map[string]string{"camera": `p"w\`})
	task := sdktest.Run(t, class(onlyMain(func(ctx context.Context, t *sdk.Task[attachments]) error {
		direct, err := t.Secret(ctx, "camera")
		got <- t.Attachments().URL + " " + direct
		return err
	})), attachments{URL: "rtsp://u:${secret:camera}@cam/1"}, sdktest.Options{Host: host})
	task.Wait()
	if s, want := <-got, `rtsp://u:p"w\@cam/1 p"w\`; s != want {
		t.Errorf("got %q, want %q", s, want)
	}
	if strings.Contains(task.Log(), `p"w`) {
		t.Error("the secret is in the log")
	}
}
