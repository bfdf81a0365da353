package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins"
	"github.com/skalds-go/skalds/plugins/pluginstest"
	"github.com/skalds-go/skalds/plugins/procstats"
	"github.com/skalds-go/skalds/plugins/shim"
)

var (
	installWorker = pluginstest.Install
	eventually    = pluginstest.Eventually
)

// The test binary is also the worker: launched by a host it serves the classes Script, which does what its attachments
// say, and Pausing, which pauses itself.
func TestMain(m *testing.M) {
	if shim.Asked() {
		os.Exit(shim.Main(nil))
	}
	if pluginstest.Asked() {
		sdk.Serve("scripted", "1.0.0",
			sdk.Class("Script", func() sdk.Worker[script] { return scripted{} }, sdk.Resources(0.5, 64<<20)),
			sdk.Class("Pausing", func() sdk.Worker[script] { return pausing{} }),
			sdk.Class("Single", func() sdk.Worker[script] { return scripted{} }, sdk.MaxPerNode(1)),
		)
	}
	if err := os.Setenv("XDG_RUNTIME_DIR", os.TempDir()); err != nil { // run folders that are left lie there
		panic(err)
	}
	code := m.Run()
	if code == 0 {
		if left := leftBehind(); left != "" {
			fmt.Fprintln(os.Stderr, "left behind by the tests:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

// leftBehind names goroutines and processes that outlive the tests.
func leftBehind() string {
	var left string
	for range 200 {
		left = ""
		buf := make([]byte, 4<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] {
			if strings.Contains(g, "skalds-go/skalds/host.") || strings.Contains(g, "skalds-go/skalds/plugins.") || strings.Contains(g, "timberjack") {
				left += g + "\n\n"
			}
		}
		if kids, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid())); err == nil && len(kids) > 0 {
			left += "children: " + string(kids)
		}
		if left == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

// script is what the worker is told to do.
type script struct {
	Do   string `json:"do" jsonschema:"required"`
	Code int    `json:"code,omitempty"`
	N    int    `json:"n,omitempty"`
	Text string `json:"text,omitempty"`
}

type scripted struct{}

// Main writes a line per attempt to the file "attempts" in its folder, then does as told.
func (scripted) Main(ctx context.Context, t *sdk.Task[script]) error {
	a := t.Attachments()
	f, err := os.OpenFile(filepath.Join(t.DataDir(), "attempts"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(f, "%d/%d %s\n", t.Epoch(), t.Attempt(), a.Text)
	_ = f.Close()
	t.Log().Info("doing", "what", a.Do)
	t.Log().Debug("in detail")
	if known, err := pluginstest.Do(ctx, a.Do, a.Code, a.Text); known {
		return err
	}
	switch a.Do {
	case "result":
		return t.Result(map[string]int{"n": a.N})
	case "pour": // lines of N bytes on standard output, for ever where Text is "on"
		for line := strings.Repeat("x", a.N); ; {
			fmt.Println(line)
			if a.Text != "on" || ctx.Err() != nil {
				return nil
			}
		}
	case "long": // ends with N bytes of an error, after as many of one that did not end it
		t.Error("%s", strings.Repeat("y", a.N))
		return sdk.Permanent(errors.New(strings.Repeat("x", a.N)))
	case "flaky": // fails N times
		if t.Attempt() <= a.N {
			return fmt.Errorf("attempt %d of %d that fail", t.Attempt(), a.N)
		}
		return nil
	case "stages":
		if err := t.Stage(ctx, "once", func(context.Context) error {
			return os.WriteFile(filepath.Join(t.DataDir(), fmt.Sprintf("stage-%d", t.Attempt())), nil, 0o644)
		}); err != nil {
			return err
		}
		if t.Attempt() == 1 {
			return errors.New("after the stage")
		}
		return nil
	case "take": // N MiB, then waits for the file "go"
		b, err := syscall.Mmap(-1, 0, a.N<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE) // not counted twice with -race
		if err != nil {
			return err
		}
		for i := 0; i < len(b); i += os.Getpagesize() {
			b[i] = 1
		}
		if err := os.WriteFile(filepath.Join(t.DataDir(), fmt.Sprintf("taken-%d-%d", t.Epoch(), t.Attempt())), nil, 0o644); err != nil {
			return err
		}
		for {
			if _, err := os.Stat(filepath.Join(t.DataDir(), "go")); err == nil {
				return syscall.Munmap(b)
			}
			if err := t.Sleep(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
	case "stage then wait":
		if err := t.Stage(ctx, "once", func(context.Context) error {
			return os.WriteFile(filepath.Join(t.DataDir(), fmt.Sprintf("stage-%d", t.Epoch())), nil, 0o644)
		}); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	case "stall":
		t.Promise("frames", 300*time.Millisecond)
		t.AddUnits("frames", 1)
		<-ctx.Done()
		return ctx.Err()
	case "stall beside": // promises one thing and does others
		t.Promise("frames", 300*time.Millisecond)
		for i := 0; ; i++ {
			t.Progress(float64(i) / 1e6)
			t.AddUnits("looks", 1)
			if err := t.Sleep(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
	case "promise": // is kept until the text says otherwise
		t.Promise("frames", promised)
		for {
			if t.Attachments().Text != "stand still" {
				t.AddUnits("frames", 1)
			}
			if err := t.Sleep(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
	case "count": // to its end at once, and stays unless the text says otherwise
		t.AddUnits("frames", 1)
		if err := t.Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
		t.AddUnits("frames", 1499)
		t.Progress(100)
		if a.Text == "finish" {
			return nil
		}
		<-ctx.Done()
		return context.Cause(ctx)
	case "become": // another program, in the same process, which speaks no RPC
		return syscall.Exec("/bin/sh", []string{"sh", "-c", a.Text}, os.Environ())
	case "leave": // quietly
		<-ctx.Done()
		return nil
	case "hoard": // takes more and more memory
		var all [][]byte
		for {
			b := make([]byte, 4<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
			if err := t.Sleep(ctx, 20*time.Millisecond); err != nil {
				return fmt.Errorf("with %d blocks: %w", len(all), err)
			}
		}
	case "trouble":
		t.Error("camera does not answer")
		<-ctx.Done()
		return ctx.Err()
	case "watch": // follows its attachments
		last := a.Text
		for {
			if now := t.Attachments().Text; now != last {
				last = now
				if err := os.WriteFile(filepath.Join(t.DataDir(), "updated"), []byte(now), 0o644); err != nil {
					return err
				}
			}
			t.AddUnits("looks", 1)
			if err := t.Sleep(ctx, 5*time.Millisecond); err != nil {
				return err
			}
		}
	case "cache":
		if err := t.CacheSet(ctx, "k", []byte(a.Text), time.Minute); err != nil {
			return err
		}
		v, _, err := t.CacheGet(ctx, "k")
		if err != nil {
			return err
		}
		return t.Artifact(ctx, protocol.Artifact{Kind: "file", Path: "/x/" + string(v)})
	}
	return fmt.Errorf("unknown script %q", a.Do)
}

// promised is the longest that the script "promise" stands still.
const promised = 2 * time.Second

// Before never comes back if it is told so.
func (scripted) Before(_ context.Context, t *sdk.Task[script]) error {
	if t.Attachments().Do == "never begin" {
		select {}
	}
	return nil
}

// Update refuses one word.
func (scripted) Update(_ context.Context, t *sdk.Task[script], _ script) error {
	if t.Attachments().Text == "refuse me" {
		return errors.New("not that one")
	}
	return nil
}

type pausing struct{}

func (pausing) Main(ctx context.Context, t *sdk.Task[script]) error { return scripted{}.Main(ctx, t) }

func (pausing) Pause(ctx context.Context, t *sdk.Task[script]) error {
	if t.Attachments().Text == "too late" {
		<-ctx.Done()
	}
	return os.WriteFile(filepath.Join(t.DataDir(), "paused"), nil, 0o644)
}

func (pausing) Resume(_ context.Context, t *sdk.Task[script]) error {
	return os.WriteFile(filepath.Join(t.DataDir(), "resumed"), nil, 0o644)
}

const soon = 20 * time.Second // on a busy machine

// testLog shows lines under the failing test only, when SKALDS_TEST_LOG is set.
func testLog(t testing.TB) hclog.Logger {
	if os.Getenv("SKALDS_TEST_LOG") == "" {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr, Name: t.Name()})
}

// machine is what a host runs on: a folder with data, a folder with workers.
type machine struct {
	dir     string
	workers string
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{dir: t.TempDir()}
	m.workers = filepath.Join(m.dir, "plugins")
	installWorker(t, m.workers, "scripted", "1.0.0")
	return m
}

func (m *machine) config() Config {
	cfg := DefaultConfig()
	cfg.DataDir, cfg.NodeID, cfg.Grace = m.dir, "n1", 2*time.Second
	return cfg
}

func (m *machine) deps(t testing.TB) Deps {
	t.Helper()
	log := testLog(t)
	launcher, err := plugins.NewLauncher(plugins.LauncherConfig{RunDir: filepath.Join(m.dir, "run"), SampleEvery: 200 * time.Millisecond}, log)
	if err != nil {
		t.Fatal(err)
	}
	return Deps{Catalog: plugins.NewCatalog(plugins.CatalogConfig{Dir: m.workers}, log), Launcher: launcher, Sampler: procstats.New()}
}

// attempts reads what the worker wrote at the start of each attempt.
func (m *machine) attempts(task string) []string {
	b, err := os.ReadFile(filepath.Join(m.dir, "recordings", task, "attempts"))
	if err != nil || len(b) == 0 { // made, and not yet written
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func (m *machine) exists(task, file string) bool {
	_, err := os.Stat(filepath.Join(m.dir, "recordings", task, file))
	return err == nil
}
