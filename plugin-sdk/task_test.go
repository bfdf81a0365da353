package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/sdktest"
)

// run runs a Main to its end.
func run(t *testing.T, main onlyMain, o ...sdktest.Options) (*sdktest.Task, protocol.Finished) {
	t.Helper()
	task := sdktest.Run(t, class(main), attachments{}, o...)
	return task, task.Wait()
}

func TestTaskFacts(t *testing.T) {
	dir := t.TempDir()
	_, end := run(t, func(_ context.Context, k *sdk.Task[attachments]) error {
		got := []any{k.ID(), k.Name(), k.Epoch(), k.Attempt(), k.DataDir(), k.Labels()["site"], k.Persistent()}
		if diff := cmp.Diff([]any{"cam", "Camera", int64(7), 3, dir, "north", true}, got); diff != "" {
			return errors.New(diff)
		}
		return nil
	}, sdktest.Options{TaskID: "cam", Name: "Camera", Epoch: 7, Attempt: 3, DataDir: dir, Labels: map[string]string{"site": "north"}, Persistent: true})
	if end.Kind != protocol.FinishedCompleted {
		t.Error(end.Message)
	}
}

func TestUnitsOfEachNameAreCountedAndTold(t *testing.T) {
	task, end := run(t, func(_ context.Context, k *sdk.Task[attachments]) error {
		for range 500 {
			k.AddUnits("frames", 1)
			k.AddUnits("looks", 2)
		}
		return nil
	})
	if end.Kind != protocol.FinishedCompleted {
		t.Fatal(end.Message)
	}
	for unit, want := range map[string]int64{"frames": 500, "looks": 1000} {
		task.WaitFor(unit, func(e protocol.RunEvent) bool {
			return e.Kind == protocol.EventProgress && e.Progress.Unit == unit && e.Progress.Units == want
		})
	}
}

func TestAnArtifactThatNoHostTakesIsRefusedAtOnce(t *testing.T) {
	host := sdktest.NewHost(nil)
	_, end := run(t, func(ctx context.Context, k *sdk.Task[attachments]) error {
		for name, a := range map[string]sdk.Artifact{
			"no path":     {Kind: "file"},
			"no JSON":     {Path: "/a", Meta: []byte("no JSON")},
			"large meta":  {Path: "/a", Meta: []byte(`"` + strings.Repeat("m", protocol.MaxArtifactMeta) + `"`)},
			"long reason": {Path: "/a", EndReason: strings.Repeat("r", protocol.MaxArtifactText+1)},
		} {
			if err := k.Artifact(ctx, a); !errors.Is(err, protocol.ErrRefused) || strings.Contains(err.Error(), "by the worker") {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}, sdktest.Options{Host: host})
	if end.Kind != protocol.FinishedCompleted || len(host.Artifacts()) != 0 {
		t.Errorf("%s, %d artifacts", end.Message, len(host.Artifacts()))
	}
}

func TestWhatATaskSays(t *testing.T) {
	task, end := run(t, func(ctx context.Context, k *sdk.Task[attachments]) error {
		k.Promise("frames", 5*time.Second)
		k.Progress(250)
		k.Units("frames", 10)
		k.Units("frames", 9) // never backwards
		k.AddUnits("frames", 2)
		k.Error("camera %d is away", 1)
		k.ClearError()
		k.Log().Info("hello from the task")
		return errors.Join(k.Result(map[string]int{"frames": 12}),
			k.Artifact(ctx, sdk.Artifact{Kind: "file", Path: "/a", Bytes: 1, StartedAt: time.UnixMilli(5)}),
			k.Artifact(ctx, sdk.Artifact{Kind: "file", Path: "/a", Bytes: 2, StartedAt: time.UnixMilli(5), EndedAt: time.UnixMilli(9), Duration: 4 * time.Millisecond, EndReason: "stopped"}))
	})
	if end.Kind != protocol.FinishedCompleted {
		t.Fatal(end.Message)
	}
	if diff := cmp.Diff(protocol.Progress{Percent: 100, Units: 12, Unit: "frames"}, task.Progress()); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"camera 1 is away", ""}, task.Errors()); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	var result map[string]int
	if task.Result(&result); result["frames"] != 12 {
		t.Errorf("result %v", result)
	}
	c := task.WaitFor("contract", func(e protocol.RunEvent) bool { return e.Kind == protocol.EventContract })
	if c.Unit != "frames" || c.Budget != 5*time.Second {
		t.Errorf("contract %+v", c)
	}
	want := []protocol.Artifact{{Kind: "file", Path: "/a", Bytes: 2, StartedAt: time.UnixMilli(5), EndedAt: time.UnixMilli(9), Duration: 4 * time.Millisecond, EndReason: "stopped"}}
	if diff := cmp.Diff(want, task.Host().Artifacts()); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	if !strings.Contains(task.Log(), "hello from the task") {
		t.Errorf("log: %q", task.Log())
	}
}

func TestSizes(t *testing.T) {
	_, end := run(t, func(ctx context.Context, k *sdk.Task[attachments]) error {
		big := make([]byte, 1<<20+1)
		for what, err := range map[string]error{
			"result":     k.Result(strings.Repeat("x", 128<<10)),
			"checkpoint": k.SaveCheckpoint(ctx, big),
			"cache":      k.CacheSet(ctx, "k", big, 0),
		} {
			if err == nil || !strings.Contains(err.Error(), "larger than") {
				return errors.New(what + " was not refused")
			}
		}
		return errors.Join(k.SaveCheckpoint(ctx, big[1:]), k.CacheSet(ctx, "k", big[1:], 0))
	})
	if end.Kind != protocol.FinishedCompleted {
		t.Error(end.Message)
	}
}

func TestCacheCheckpointAndFence(t *testing.T) {
	host := sdktest.NewHost(nil)
	task, end := run(t, func(ctx context.Context, k *sdk.Task[attachments]) error {
		if _, found, err := k.LoadCheckpoint(ctx); found || err != nil {
			return errors.Join(err, errors.New("a checkpoint before any was saved"))
		}
		if err := errors.Join(k.SaveCheckpoint(ctx, []byte("here")), k.CacheSet(ctx, "a", []byte("1"), 1500*time.Millisecond), k.CacheSet(ctx, "b", nil, 0), k.CacheDelete(ctx, "b")); err != nil {
			return err
		}
		state, found, err := k.LoadCheckpoint(ctx)
		v, cached, cerr := k.CacheGet(ctx, "a")
		_, gone, gerr := k.CacheGet(ctx, "b")
		if string(state) != "here" || !found || string(v) != "1" || !cached || gone {
			return errors.Join(errors.New("not what was written"), err, cerr, gerr)
		}
		host.Fence()
		if err := k.SaveCheckpoint(ctx, []byte("late")); !errors.Is(err, protocol.ErrFenced) {
			return errors.New("a fenced write came through")
		}
		return nil
	}, sdktest.Options{Host: host})
	if end.Kind != protocol.FinishedCompleted {
		t.Fatal(end.Message)
	}
	if _, ttl, _ := task.Host().Cached("a"); ttl != 2*time.Second {
		t.Errorf("time to live %s, want it rounded up", ttl)
	}
}

func TestStages(t *testing.T) {
	calls := map[string]int{}
	main := func(ctx context.Context, k *sdk.Task[attachments]) error {
		n, err := sdk.StageValue(ctx, k, "count", func(context.Context) (int, error) {
			calls["count"]++
			return 42, nil
		})
		if err != nil {
			return err
		}
		err = k.Stage(ctx, "flaky", func(context.Context) error {
			if calls["flaky"]++; calls["flaky"] < 3 {
				return errors.New("not yet")
			}
			return nil
		}, sdk.StageRetry(5, time.Millisecond))
		if err != nil {
			return err
		}
		return k.Stage(ctx, "last", func(context.Context) error {
			if calls["last"]++; k.Attempt() == 1 {
				return errors.New("later")
			}
			return k.Result(n)
		})
	}
	first, end := run(t, main)
	if end.Kind != protocol.FinishedError || end.Message != "stage last: later" {
		t.Fatalf("first attempt ended by %+v", end)
	}
	if diff := cmp.Diff(map[string]json.RawMessage{"count": json.RawMessage("42"), "flaky": json.RawMessage("{}")}, first.Stages()); diff != "" {
		t.Fatalf("stages (-want +got):\n%s", diff)
	}
	second, end := run(t, main, sdktest.Options{Attempt: 2, Stages: first.Stages()})
	var n int
	if second.Result(&n); end.Kind != protocol.FinishedCompleted || n != 42 {
		t.Errorf("second attempt ended by %+v with %d", end, n)
	}
	if diff := cmp.Diff(map[string]int{"count": 1, "flaky": 3, "last": 2}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}

	// What an older version stored in another shape is done again; a permanent error is not repeated.
	calls = map[string]int{}
	run(t, main, sdktest.Options{Stages: map[string]json.RawMessage{"count": json.RawMessage(`"many"`)}})
	if calls["count"] != 1 {
		t.Error("a value that does not fit was used")
	}
	tries := 0
	_, end = run(t, func(ctx context.Context, k *sdk.Task[attachments]) error {
		return k.Stage(ctx, "s", func(context.Context) error { tries++; return sdk.Permanent(errors.New("never")) }, sdk.StageRetry(5, 0))
	})
	if tries != 1 || !end.Permanent {
		t.Errorf("%d tries, ended by %+v", tries, end)
	}
}

func TestBusyCounterCostsFewEvents(t *testing.T) {
	task, _ := run(t, func(_ context.Context, k *sdk.Task[attachments]) error {
		for range 100_000 {
			k.AddUnits("items", 1)
		}
		return nil
	})
	if p := task.Progress(); p.Units != 100_000 {
		t.Errorf("counted %d", p.Units)
	}
	if n := len(task.Events()); n > 1000 {
		t.Errorf("%d events for a counter", n)
	}
}

func TestGoexitIsAnEnd(t *testing.T) {
	_, end := run(t, func(context.Context, *sdk.Task[attachments]) error { runtime.Goexit(); return nil })
	if end.Kind != protocol.FinishedPanic {
		t.Errorf("ended by %+v", end)
	}
}

func TestWorkerThatCannotBeMade(t *testing.T) {
	calls := 0
	c := sdk.Class("Thing", func() sdk.Worker[attachments] {
		if calls++; calls > 1 { // the first is for Describe
			panic("no worker today")
		}
		return onlyMain(nil)
	})
	if end := sdktest.Run(t, c, attachments{}).Wait(); end.Kind != protocol.FinishedPanic || end.Hook != "New" {
		t.Errorf("ended by %+v", end)
	}
	wrong := class(onlyMain(nil), sdk.Defaults(3))
	if end := sdktest.Run(t, wrong, attachments{}).Wait(); end.Kind != protocol.FinishedError || !end.Permanent {
		t.Errorf("ended by %+v", end)
	}
}

func TestDefaults(t *testing.T) {
	c := class(onlyMain(func(_ context.Context, k *sdk.Task[attachments]) error { return k.Result(k.Attachments()) }),
		sdk.Defaults(attachments{URL: "rtsp://default", Frame: 30}))
	task := sdktest.Run(t, c, json.RawMessage(`{"fixFrame":5}`))
	task.Wait()
	var got attachments
	task.Result(&got)
	if diff := cmp.Diff(attachments{URL: "rtsp://default", Frame: 5}, got); diff != "" {
		t.Errorf("attachments (-want +got):\n%s", diff)
	}
}

func TestDescribe(t *testing.T) {
	w, err := sdk.NewWorker("thing-worker", "1.2.3-rc.1", nil, nil, class(&everything{}, sdk.Describe("does things"), sdk.Resources(0.5, 64<<20), sdk.Limits(1, 128<<20, 32), sdk.MaxPerNode(4)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.Describe(t.Context(), protocol.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(d.Classes[0].Schema) {
		t.Errorf("schema %s", d.Classes[0].Schema)
	}
	d.Classes[0].Schema = nil
	want := protocol.Description{Name: "thing-worker", Version: "1.2.3-rc.1", SDK: "go/" + sdk.Version, Classes: []protocol.Class{{
		ClassName: "Thing", Description: "does things", Capabilities: []string{"update", "pause", "checkpoint", "pressure"},
		Resources: protocol.Amounts{CPUCores: 0.5, MemoryBytes: 64 << 20}, Limits: protocol.Amounts{CPUCores: 1, MemoryBytes: 128 << 20, PIDs: 32}, MaxPerNode: 4,
	}}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("description (-want +got):\n%s", diff)
	}

	brief, err := w.Describe(t.Context(), protocol.DescribeRequest{Brief: true})
	want.Classes = nil
	if diff := cmp.Diff(want, brief); err != nil || diff != "" {
		t.Errorf("brief description: %v (-want +got):\n%s", err, diff)
	}
}

func TestWrongServeArguments(t *testing.T) {
	c := class(onlyMain(nil))
	for want, make := range map[string]func() error{
		"want a semantic version": func() error { _, err := sdk.NewWorker("w", "1.0", nil, nil, c); return err },
		"no class":                func() error { _, err := sdk.NewWorker("w", "1.0.0", nil, nil); return err },
		"defined twice":           func() error { _, err := sdk.NewWorker("w", "1.0.0", nil, nil, c, c); return err },
		`name "a b"`:              func() error { _, err := sdk.NewWorker("a b", "1.0.0", nil, nil, c); return err },
	} {
		if err := make(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestCommandEndsWithItsContext(t *testing.T) {
	_, end := run(t, func(ctx context.Context, _ *sdk.Task[attachments]) error {
		out, err := os.CreateTemp("", "command")
		if err != nil {
			return err
		}
		defer os.Remove(out.Name())
		defer out.Close()
		hello := sdk.Command(ctx, "sh", "-c", "echo hello")
		hello.Stdout = out
		if err := hello.Run(); err != nil {
			return err
		}
		if b, err := os.ReadFile(out.Name()); err != nil || string(b) != "hello\n" {
			return errors.Join(err, errors.New("the child's output is "+string(b)))
		}
		child, cancel := context.WithCancel(ctx)
		sleeper := sdk.Command(child, "sleep", "600")
		if err := sleeper.Start(); err != nil {
			cancel()
			return err
		}
		cancel()
		if err := sleeper.Wait(); err == nil {
			return errors.New("the child ended well")
		}
		return nil
	})
	if end.Kind != protocol.FinishedCompleted {
		t.Error(end.Message)
	}
}
