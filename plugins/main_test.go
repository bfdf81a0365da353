package plugins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/pluginstest"
	"github.com/skalds-go/skalds/plugins/shim"
)

var (
	installWorker = pluginstest.Install
	eventually    = pluginstest.Eventually
)

// The test binary is also the scripted worker: started by a launcher it serves the class Script, which does what its
// attachments say. SCRIPT_START says what it does before it serves. It takes name and version from the folder in which it
// lies; the files "says" (name@version) and "classes" beside it make it say something else. And it is a host that can be
// killed: see TestNothingOutlivesAKilledHost.
func TestMain(m *testing.M) {
	if shim.Asked() {
		os.Exit(shim.Main(nil))
	}
	if dir := os.Getenv("SCRIPT_HOST"); dir != "" {
		os.Exit(hostToBeKilled(dir))
	}
	if pluginstest.Asked() {
		beforeServing(os.Getenv("SCRIPT_START"))
		serveScript()
	}
	if err := os.Setenv("XDG_RUNTIME_DIR", os.TempDir()); err != nil { // a killed host leaves its run folder there
		panic(err)
	}
	os.Exit(m.Run())
}

// blockForEver sleeps: of a program without cgo the runtime would say that a select without cases is a deadlock.
func blockForEver() {
	for {
		time.Sleep(time.Hour)
	}
}

func serveScript() {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	dir := filepath.Dir(self)
	name, version := filepath.Base(self), filepath.Base(dir)
	if b, err := os.ReadFile(filepath.Join(dir, "says")); err == nil {
		name, version, _ = strings.Cut(string(b), "@")
	}
	classes := []string{"Script"}
	if b, err := os.ReadFile(filepath.Join(dir, "classes")); err == nil {
		classes = strings.Fields(string(b))
	}
	var defs []sdk.ClassDef
	for _, c := range classes {
		defs = append(defs, sdk.Class(c, func() sdk.Worker[script] { return scripted{make(chan struct{}, 1)} }))
	}
	sdk.Serve(name, version, defs...)
}

const (
	scriptName    = "scripted"
	scriptVersion = "1.0.0"
)

func beforeServing(what string) {
	switch what {
	case "print":
		fmt.Println("a stray print before the handshake")
		fmt.Print("and one without an end")
	case "ticking":
		go func() {
			for i := range 300 {
				fmt.Println("tick", i)
				fmt.Fprintln(os.Stderr, "tock", i)
				time.Sleep(time.Millisecond)
			}
		}()
	case "flood":
		for i := range 3 * burstOfLines {
			fmt.Println("line", i)
		}
	case "leak":
		_ = leak(context.Background(), 2<<30)
	case "wrong token":
		path := filepath.Join(os.Getenv(protocol.EnvInstanceDir), "forged")
		if err := errors.Join(os.WriteFile(path, []byte("forged"), 0o600), os.Setenv(protocol.EnvTokenFile, path)); err != nil {
			panic(err)
		}
	case "dead socket":
		fmt.Printf("1|1|unix|%s/nobody.sock|grpc\n", os.Getenv(protocol.EnvInstanceDir))
		blockForEver()
	case "kill-self":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		blockForEver()
	case "rubbish":
		fmt.Println("hello, I am no worker")
		os.Exit(3)
	case "hang":
		blockForEver()
	case "panic":
		panic("before the handshake")
	case "version":
		fmt.Println("1|99|unix|/nowhere|grpc")
		blockForEver()
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence found")
		os.Exit(7)
	}
}

// script is what the worker is told to do.
type script struct {
	Do    string `json:"do"`
	Code  int    `json:"code,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	N     int    `json:"n,omitempty"`
	Text  string `json:"text,omitempty"`
	File  string `json:"file,omitempty"`
}

type scripted struct{ relieved chan struct{} }

// OnPressure lets the script "hold" go on.
func (s scripted) OnPressure(_ context.Context, t *sdk.Task[script], over int64) (int64, error) {
	if t.Attachments().Do != "hold" || over <= 0 {
		return 0, nil
	}
	select {
	case s.relieved <- struct{}{}:
	default:
	}
	return over, nil
}

func (s scripted) Main(ctx context.Context, t *sdk.Task[script]) error {
	a := t.Attachments()
	if known, err := pluginstest.Do(ctx, a.Do, a.Code, a.Text); known {
		return err
	}
	switch a.Do {
	case "panic-goroutine":
		go panic(a.Text)
		<-ctx.Done()
	case "kill-self":
		_ = syscall.Kill(os.Getpid(), syscall.Signal(a.Code))
		blockForEver()
	case "overflow":
		debug.SetMaxStack(1 << 20)
		return fmt.Errorf("%d", deep(0))
	case "spawn":
		for ctx.Err() == nil {
			if err := exec.Command("true").Run(); err != nil {
				return err
			}
			t.AddUnits("children", 1)
		}
		return ctx.Err()
	case "bomb":
		for range 20000 {
			c := exec.Command("sleep", "300")
			if a.Text == "setsid" {
				c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			}
			if err := c.Start(); err != nil {
				return err
			}
		}
		<-ctx.Done()
	case "raw":
		f := os.NewFile(2, "raw standard error") // not what the SDK may have put into its place
		for _, part := range []string{strings.Repeat("x", 300_000) + "\n", "\x00\xff\xfe\x01 binary\n", a.Text} {
			if _, err := f.WriteString(part); err != nil {
				return err
			}
		}
	case "leak":
		return leak(ctx, a.Bytes)
	case "leak-child":
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), protocol.EnvCookieKey+"="+protocol.EnvCookieValue, "SCRIPT_START=leak")
		return c.Run()
	case "hold": // until somebody asks for it
		b, err := syscall.Mmap(-1, 0, int(a.Bytes), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			return err
		}
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		select {
		case <-s.relieved:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case "grow":
		b := make([]byte, a.Bytes)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		runtime.KeepAlive(b)
	case "fork":
		return fork(ctx, a)
	case "flood":
		for i := range a.N {
			t.Log().Info("line", "n", i)
		}
	case "print":
		fmt.Println(a.Text)
	case "work":
		for i := 1; i <= a.N; i++ {
			t.AddUnits("items", 1)
			t.Progress(float64(i) * 100 / float64(a.N))
			if err := t.Sleep(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		return t.Result(map[string]int{"items": a.N})
	default:
		return fmt.Errorf("unknown script %q", a.Do)
	}
	return nil
}

func deep(n int) int {
	var pad [512]byte
	pad[n%512] = byte(n)
	//lint:ignore SA5007 the stack is meant to overflow
	return deep(n+1) + int(pad[(n+1)%512])
}

// leak grows at about 1 GB/s until a.Bytes.
func leak(ctx context.Context, total int64) error {
	var keep [][]byte
	for sum := int64(0); sum < total; sum += 8 << 20 {
		b := make([]byte, 8<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		keep = append(keep, b)
		select {
		case <-time.After(8 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	<-ctx.Done()
	return fmt.Errorf("%d blocks: %w", len(keep), ctx.Err())
}

// fork starts children that outlive their parent if they can, one of them in a session of its own, and writes their pids.
func fork(ctx context.Context, a script) error {
	plain := exec.Command("sleep", "300")
	session := exec.Command("sh", "-c", `sleep 300 & echo $! >"$1"; sleep 300`, "sh", a.File+".grandchild")
	session.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	plain.Stdout, session.Stdout = os.Stderr, os.Stderr // the raw descriptor, which keeps the pipe open
	if err := errors.Join(plain.Start(), session.Start()); err != nil {
		return err
	}
	var grandchild int
	for grandchild == 0 {
		if b, err := os.ReadFile(a.File + ".grandchild"); err == nil {
			_, _ = fmt.Sscan(string(b), &grandchild)
		}
		time.Sleep(time.Millisecond)
	}
	if err := os.WriteFile(a.File+".tmp", fmt.Appendf(nil, "%d %d %d", plain.Process.Pid, session.Process.Pid, grandchild), 0o600); err != nil {
		return err
	}
	if err := os.Rename(a.File+".tmp", a.File); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func attachments(t testing.TB, s script) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func contains(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
