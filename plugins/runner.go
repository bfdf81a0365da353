package plugins

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
	"github.com/skalds-go/skalds/plugins/shim"
)

// process is our own go-plugin runner: it waits for the process apart from its pipes (a grandchild that inherited them
// must not hide a death), keeps exit status and output, and kills whole trees.
type process struct {
	path    string
	env     []string
	out     *output
	spawn   func(path string, env []string, stdout, stderr *os.File) (child, error)
	onStart func()            // right after the fork
	onKill  func()            // before go-plugin kills: it does so when a handshake fails
	onExit  func(x shim.Exit) // after the wait, before done is closed

	child  child
	id     procstats.ID
	stdout *io.PipeReader
	silent chan struct{} // closed when nobody holds the process's standard output any more
	ended  chan struct{} // closed when the process was reaped
	done   chan struct{}
	reaped atomic.Bool // there is nobody to be signalled any more
}

var _ runner.Runner = (*process)(nil)

// handshakeLine is what go-plugin prints: core version (1)|protocol version|network|address|protocol. Something that was
// printed without a line's end may stand before it.
var handshakeLine = regexp.MustCompile(`1\|\d+\|(unix|tcp)\|`)

const (
	// ownEnd is how long a process that has closed its standard output is given to end by itself, so that its exit code
	// is seen and not our signal.
	ownEnd = 250 * time.Millisecond
	// drain is how long the output of a dead process is read on if somebody who escaped still holds the pipes.
	drain = 500 * time.Millisecond
)

// Start forks. The child gets /dev/null as standard input, pipes as output, and the liveness pipe as descriptor 3.
func (p *process) Start(context.Context) error {
	outR, outW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipes: %w", err)
	}
	defer func() { _ = outW.Close() }()
	errR, errW, err := os.Pipe()
	if err != nil {
		_ = outR.Close()
		return fmt.Errorf("make pipes: %w", err)
	}
	defer func() { _ = errW.Close() }()
	for deadline := time.Now().Add(time.Second); ; { // a file that was just written may be busy for a moment
		p.child, err = p.spawn(p.path, p.env, outW, errW)
		if !isBusy(err) || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		_, _ = outR.Close(), errR.Close()
		return err
	}
	p.id = p.child.Ident()
	p.onStart()
	var handshake *io.PipeWriter
	p.stdout, handshake = io.Pipe()
	readers := new(sync.WaitGroup)
	outPipe, errPipe := &pipe{file: outR}, &pipe{file: errR}
	readers.Go(func() { p.out.read(errPipe, &lineCutter{out: p.out, stream: StreamErr}); _ = errPipe.Close() })
	readers.Go(func() { p.readStdout(outPipe, handshake); _ = outPipe.Close() })
	go p.wait(readers, outPipe, errPipe)
	return nil
}

// readStdout hands go-plugin the handshake and nothing else: stray prints before it are log lines.
func (p *process) readStdout(r *pipe, handshake *io.PipeWriter) {
	p.out.read(r, &lineCutter{out: p.out, stream: StreamOut, first: func(line []byte) (text []byte, more bool) {
		at := handshakeLine.FindIndex(line)
		if at == nil {
			return line, true
		}
		_, _ = handshake.Write(append(slices.Clip(line[at[0]:]), '\n'))
		_ = handshake.Close()
		return line[:at[0]], false
	}})
	close(p.silent) // first: go-plugin kills as soon as it sees the end of the handshake
	_ = handshake.Close()
}

// wait waits for the end and gives the pipes a moment to be drained; a grandchild that still holds them is cut off.
func (p *process) wait(readers *sync.WaitGroup, pipes ...*pipe) {
	<-p.child.Exited()
	p.reaped.Store(true)
	p.onExit(p.child.Exit()) // first: who waits for the end kills afterwards, which is not why it ended
	close(p.ended)
	<-p.child.Cleared()
	for _, f := range pipes {
		_ = f.SetReadDeadline(time.Now().Add(drain))
	}
	readers.Wait()
	close(p.done)
}

// Wait waits until the process has ended and its output is read.
func (p *process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill kills the process group. The rest of the tree is the instance's affair.
func (p *process) Kill(context.Context) error {
	p.awaitOwnEnd()
	if !p.reaped.Load() {
		p.onKill()
		p.signalGroup(syscall.SIGKILL)
	}
	return nil
}

// awaitOwnEnd waits a moment for a process that seems to be ending: one that has closed its standard output.
func (p *process) awaitOwnEnd() {
	select {
	case <-p.silent:
	default:
		return
	}
	select {
	case <-p.ended:
	case <-time.After(ownEnd):
	}
}

// signalGroup signals the process's own group.
func (p *process) signalGroup(sig syscall.Signal) {
	if p.child != nil && !p.reaped.Load() {
		p.child.Signal(sig, true)
	}
}

// signal signals the process alone.
func (p *process) signal(sig syscall.Signal) {
	if p.child != nil && !p.reaped.Load() {
		p.child.Signal(sig, false)
	}
}

// Stdout is the handshake alone.
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr is empty: we read it ourselves.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Diagnose adds nothing: a LaunchError carries the output.
func (p *process) Diagnose(context.Context) string { return "" }

// Name is the path of the executable.
func (p *process) Name() string { return p.path }

// ID is the pid as text.
func (p *process) ID() string { return strconv.Itoa(p.id.PID) }

// PluginToHost leaves addresses as they are.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	return network, addr, nil
}

// HostToPlugin leaves addresses as they are.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// newProcess takes over what go-plugin put into cmd: environment only.
func newProcess(path string, env []string, cmd *exec.Cmd, out *output) (*process, error) {
	if path == "" {
		return nil, errors.New("no executable")
	}
	all := append(append([]string{}, env...), cmd.Env...)
	all = append(all, protocol.EnvLivenessFD+"=3")
	p := &process{path: path, env: all, out: out, silent: make(chan struct{}), ended: make(chan struct{}), done: make(chan struct{})}
	out.ended = p.ended
	return p, nil
}
