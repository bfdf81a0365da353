package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"

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
	if paths := os.Getenv("SCRIPT_TRY"); paths != "" {
		tryPaths(paths)
		os.Exit(0)
	}
	if dir := os.Getenv("SCRIPT_HOST"); dir != "" {
		os.Exit(hostToBeKilled(dir))
	}
	if dir := os.Getenv("SCRIPT_BUSY"); dir != "" {
		os.Exit(busyHost(context.Background(), dir, os.Getenv("SCRIPT_PLUGINS")))
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

// tryPaths connects to sockets and opens files, and says to which it got: it is run as somebody else.
func tryPaths(paths string) {
	for _, path := range strings.Split(paths, ":") {
		conn, err := net.Dial("unix", path)
		if err == nil {
			_ = conn.Close()
		} else if f, openErr := os.Open(path); openErr == nil {
			_ = f.Close()
			err = nil
		}
		word := "in "
		if err != nil {
			word = "out "
		}
		fmt.Print(word)
	}
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
		defs = append(defs, sdk.Class(c, func() sdk.Worker[script] { return scripted{make(chan struct{}, 1), new(atomic.Pointer[[]byte])} }))
	}
	sdk.Serve(name, version, defs...)
}

const (
	scriptName    = "scripted"
	scriptVersion = "1.0.0"
)

// beforeServing does what comes before the handshake; a number may follow behind a colon.
func beforeServing(what string) {
	what, arg, _ := strings.Cut(what, ":")
	n, _ := strconv.Atoi(arg)
	switch what {
	case "exit with":
		fmt.Fprint(os.Stderr, "the disk is on fire") // a line without an end
		os.Exit(n)
	case "signal-self":
		_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
		blockForEver()
	case "mute": // shakes hands, and never answers
		path := filepath.Join(os.Getenv(protocol.EnvInstanceDir), "mute.sock")
		if _, err := net.Listen("unix", path); err != nil {
			panic(err)
		}
		fmt.Printf("1|1|unix|%s|grpc\n", path)
		blockForEver()
	case "hung stop":
		serveHungStop()
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

// serveHungStop serves a worker whose Stop never returns, and which hears no signal either.
func serveHungStop() {
	signal.Ignore(syscall.SIGTERM)
	w, err := sdk.NewWorker(scriptName, scriptVersion, nil, nil, sdk.Class("Script", func() sdk.Worker[script] { return scripted{} }))
	if err != nil {
		panic(err)
	}
	token, err := os.ReadFile(os.Getenv(protocol.EnvTokenFile))
	if err != nil {
		panic(err)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: protocol.Handshake(), Plugins: protocol.Plugins(hungStop{w}, string(token)),
		Logger: hclog.NewNullLogger(), GRPCServer: plugin.DefaultGRPCServer,
	})
	blockForEver()
}

type hungStop struct{ protocol.Worker }

func (hungStop) Stop(context.Context, string, time.Duration) error {
	blockForEver()
	return nil
}

// script is what the worker is told to do.
type script struct {
	Do    string `json:"do"`
	Code  int    `json:"code,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	N     int    `json:"n,omitempty"`
	Text  string `json:"text,omitempty"`
	File  string `json:"file,omitempty"`
	Hook  string `json:"hook,omitempty"`  // the one that does it; else it is Main
	After int64  `json:"after,omitempty"` // so many microseconds later
}

// scripts are those of one system only.
var scripts = map[string]func(*sdk.Task[script]) error{}

type scripted struct {
	relieved chan struct{}
	cache    *atomic.Pointer[[]byte]
}

// OnPressure lets the script "hold" go on, and empties the cache of the script "cache".
func (s scripted) OnPressure(_ context.Context, t *sdk.Task[script], p sdk.Pressure) (int64, error) {
	switch {
	case p.Bytes <= 0:
		return 0, nil
	case t.Attachments().Do == "cache":
		if b := s.cache.Swap(nil); b != nil {
			return int64(len(*b)), nil
		}
		return 0, errors.New("nothing is left")
	case t.Attachments().Do != "hold":
		return p.Bytes, nil // "lie"
	}
	select {
	case s.relieved <- struct{}{}:
	default:
	}
	return p.Bytes, nil
}

// in does as told if it is the hook that shall.
func (scripted) in(ctx context.Context, t *sdk.Task[script], hook string) error {
	a := t.Attachments()
	if a.Hook != hook {
		return nil
	}
	_, err := pluginstest.Do(ctx, a.Do, a.Code, a.Text)
	return err
}

func (s scripted) Before(ctx context.Context, t *sdk.Task[script]) error {
	return s.in(ctx, t, "Before")
}

func (s scripted) After(ctx context.Context, t *sdk.Task[script]) error { return s.in(ctx, t, "After") }

func (s scripted) Release(ctx context.Context, t *sdk.Task[script]) error {
	return s.in(ctx, t, "Release")
}

func (s scripted) OnError(ctx context.Context, t *sdk.Task[script], _ error) {
	_ = s.in(ctx, t, "OnError")
}

func (s scripted) Main(ctx context.Context, t *sdk.Task[script]) error {
	a := t.Attachments()
	if a.Hook == "OnError" {
		return errors.New("Main failed")
	} else if a.Hook != "" {
		return nil
	}
	if a.After > 0 {
		time.Sleep(time.Duration(a.After) * time.Microsecond)
	}
	if known, err := pluginstest.Do(ctx, a.Do, a.Code, a.Text); known {
		return err
	}
	if do := scripts[a.Do]; do != nil {
		return do(t)
	}
	switch a.Do {
	case "panic-goroutine":
		go panic(a.Text)
		<-ctx.Done()
	case "kill-self":
		_ = syscall.Kill(os.Getpid(), syscall.Signal(a.Code))
		blockForEver()
	case "nil-goroutine":
		go func() { *(*int)(nil) = 1 }()
		<-ctx.Done()
	case "fault": // what a file was mapped to is cut off
		return fault(filepath.Join(os.Getenv(protocol.EnvInstanceDir), "mapped"))
	case "become": // another program, in the same process
		return syscall.Exec("/bin/sh", []string{"sh", "-c", a.Text}, os.Environ())
	case "reserve":
		b := make([]byte, a.Bytes)
		<-ctx.Done()
		runtime.KeepAlive(b)
	case "deaf": // to everything that can be ignored
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
		for line := strings.Repeat("noise ", 100) + "\n"; a.Text == "flood"; {
			_, _ = os.Stderr.WriteString(line)
		}
		blockForEver()
	case "tree":
		return tree(a)
	case "cache-set":
		return t.CacheSet(ctx, "key", []byte(a.Text), time.Minute)
	case "shell": // what a script says is the result
		out, err := exec.CommandContext(ctx, "sh", "-c", a.Text).CombinedOutput()
		return errors.Join(err, t.Result(string(out)))
	case "burn": // N threads that compute
		runtime.GOMAXPROCS(a.N)
		for range a.N - 1 {
			go func() {
				for ctx.Err() == nil {
				}
			}()
		}
		for ctx.Err() == nil {
		}
		return ctx.Err()
	case "beat":
		for i := 0; ctx.Err() == nil; i++ {
			fmt.Fprintln(os.Stderr, "beat", i)
			time.Sleep(time.Millisecond)
		}
		return ctx.Err()
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
	case "thrash": // reads more than fits, again and again
		return thrash(ctx, a)
	case "ask-cache":
		_, _, err := t.CacheGet(ctx, "key")
		return err
	case "leak":
		return leak(ctx, a.Bytes)
	case "leak-child":
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), protocol.EnvCookieKey+"="+protocol.EnvCookieValue, "SCRIPT_START=leak")
		return c.Run()
	case "cache": // lives until somebody asks for memory, or for ever
		b := make([]byte, a.Bytes)
		touch(b)
		s.cache.Store(&b)
		<-ctx.Done()
	case "hold", "lie": // until somebody asks for it
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
	case "threads":
		for range a.N {
			go func() {
				runtime.LockOSThread() // each needs one of its own
				<-ctx.Done()
			}()
		}
		<-ctx.Done()
		return ctx.Err()
	case "flood":
		for i := range a.N {
			t.Log().Info("line", "n", i)
		}
	case "print":
		fmt.Println(a.Text)
	case "pour":
		return pour(ctx, t.Log(), a)
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

// thrash reads pages of a mapped file at random.
func thrash(ctx context.Context, a script) error {
	f, err := os.Create(a.File)
	if err != nil {
		return err
	}
	block := bytes.Repeat([]byte("x"), 1<<20)
	for n := int64(0); n < a.Bytes; n += int64(len(block)) {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(a.Bytes), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	sum := 0
	for ctx.Err() == nil {
		for range 1000 {
			sum += int(b[rand.IntN(len(b))])
		}
	}
	return fmt.Errorf("%d: %w", sum, ctx.Err())
}

func fault(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := f.Truncate(4096); err != nil {
		return err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	b[0] = 1
	return errors.New("nothing happened")
}

// tree runs a shell script, in a session of its own if Code is 1, and hears nothing any more. The script gets N and File.
func tree(a script) error {
	signal.Ignore(syscall.SIGTERM)
	c := exec.Command("sh", "-c", a.Text, a.Text, strconv.Itoa(a.N), a.File)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: a.Code == 1}
	if err := c.Start(); err != nil {
		return err
	}
	blockForEver()
	return nil
}

// pour writes lines of a.N bytes in the way that a.Text names, a.Bytes in all, and the last one's end is "last".
func pour(ctx context.Context, log hclog.Logger, a script) error {
	write := map[string]func(string) error{
		"os.Stdout": func(s string) error { _, err := fmt.Println(s); return err },
		"os.Stderr": func(s string) error { _, err := fmt.Fprintln(os.Stderr, s); return err },
		"fd 1":      func(s string) error { return writeRaw(1, s+"\n") },
		"fd 2":      func(s string) error { return writeRaw(2, s+"\n") },
		"hclog":     func(s string) error { log.Info("poured", "field", s); return nil },
	}[a.Text]
	line := strings.Repeat("x", a.N)
	for sum := int64(0); sum+int64(a.N) < a.Bytes && ctx.Err() == nil; sum += int64(a.N) {
		if err := write(line); err != nil {
			return err
		}
	}
	return write(line[len("last"):] + "last")
}

// writeRaw writes as a native library does.
func writeRaw(fd int, s string) error {
	for b := []byte(s); len(b) > 0; {
		n, err := syscall.Write(fd, b)
		if err != nil && !errors.Is(err, syscall.EINTR) && !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		b = b[max(0, n):]
	}
	return nil
}

// touch has the system give memory. The race detector would double it by its own.
//
//go:norace
func touch(b []byte) {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
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

func attachments(_ testing.TB, s script) json.RawMessage { return mustJSON(s) }

func mustJSON(s script) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // it has nothing that could not be written
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
