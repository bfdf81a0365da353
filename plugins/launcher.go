package plugins

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
	"github.com/skalds-go/skalds/plugins/shim"
)

// LauncherConfig is how instances are started.
type LauncherConfig struct {
	RunDir      string        // names the folder of private folders of instances, which may lie elsewhere; belongs to one host at a time
	MaxParallel int           // launches at a time, but for those that take long; default 2 × cores + 1, of which one plugin gets all but one
	SampleEvery time.Duration // of measurements; default 1 s
	Warm        WarmConfig    // processes that are kept ready; default none
	Cgroups     string        // CgroupsAuto, CgroupsOff or the path of a parent group; empty: what EnvCgroups says, else CgroupsAuto

	// CPUDutyCycle has CPU limits held by stopping and continuing where no control group holds them; nil: what
	// SKALDS_CPU_DUTY_CYCLE says, else off.
	CPUDutyCycle *bool
}

// LaunchSpec is one launch.
type LaunchSpec struct {
	Plugin       *Plugin
	TaskID       string
	Epoch        int64
	Attempt      int
	Limits       skalds.Limits
	Isolation    skalds.Isolation      // what the task is kept from
	DataDir      string                // the task's own folder: what isolates it leaves that writable; empty: it has none
	StartTimeout time.Duration         // default 10 s: fork, handshake, first RPC possible
	Env          []string              // added to the environment
	Nice         int                   // added to the host's own niceness
	Keep         bool                  // lives on when the lease of its node is over
	Services     protocol.HostServices // offered to the instance; nil: none
	Log          func(Line)            // gets every line that it writes, one at a time
}

// Launcher starts instances, measures them and holds their limits. It is safe for concurrent use.
type Launcher struct {
	cfg       LauncherConfig
	log       hclog.Logger
	spawner   *spawner
	isolation func() skalds.NodeAbilities // probed once
	pool      *warmPool
	groups    groups
	seen      seen // of limits
	slots     *slots
	base      string // where private folders lie
	prefix    string // of our launch ids
	askID     string // launch id of what is asked to describe itself
	nextDir   atomic.Int64

	oomKills atomic.Int64      // the machine's count one round of measurements ago
	oomNow   int64             // the last one; belongs to the measurements, as does what follows
	census   *procstats.Census // for rounds and for the watchdog

	mu        sync.Mutex // guards what follows
	instances map[string]*Instance
	launching map[string]*Instance // by launch ids whose process may exist before its instance is booked
	launches  sync.WaitGroup       // grows only while not closed
	removals  sync.WaitGroup       // of control groups
	closed    bool                 // nothing is launched any more

	zombieMu sync.Mutex // guards zombies
	zombies  map[procstats.ID]time.Time
}

// NewLauncher makes a launcher. Run must be running while there are instances.
func NewLauncher(cfg LauncherConfig, log hclog.Logger) (*Launcher, error) {
	cfg.MaxParallel = cmp.Or(cfg.MaxParallel, 2*runtime.NumCPU()+1)
	cfg.SampleEvery = cmp.Or(cfg.SampleEvery, time.Second)
	if log == nil {
		log = hclog.NewNullLogger()
	}
	dir, err := filepath.Abs(cfg.RunDir)
	if err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(dir))
	prefix := strconv.FormatUint(h.Sum64(), 36)
	base, err := runBase(dir, "skalds-"+prefix, memoryPlaces())
	if err != nil {
		return nil, err
	}
	if err := becomeSubreaper(); err != nil {
		log.Warn("orphans of workers cannot be adopted", "err", err)
	}
	groups := newGroups(cfg.Cgroups, "skalds-"+prefix, log.Named("launcher"))
	spawner, err := newSpawner(workerEnv(os.Environ()), log.Named("launcher"))
	if err != nil {
		return nil, err
	}
	l := &Launcher{
		cfg: cfg, log: log.Named("launcher"), spawner: spawner, groups: groups, isolation: sync.OnceValue(probeIsolation),
		slots: newSlots(cfg.MaxParallel), base: base, prefix: prefix, askID: prefix + "-describe-" + strings.ToLower(rand.Text()), instances: map[string]*Instance{}, launching: map[string]*Instance{},
		zombies: map[procstats.ID]time.Time{}, census: procstats.NewCensus(),
		oomNow: procstats.OOMKills(),
	}
	l.oomKills.Store(l.oomNow)
	l.pool = newWarmPool(l, cfg.Warm)
	return l, nil
}

// Enforcement says which limits hold here, by what, and what they are worth.
func (l *Launcher) Enforcement() skalds.Enforcement {
	e := l.groups.enforcement()
	if l.cfg.usesDutyCycle() && e.CPU.Mechanism == skalds.MechanismNone {
		e.CPU = byDutyCycle()
	}
	return l.seen.addTo(e)
}

// HoldLease says until when instances may live that are not kept, as time since boot: where the host stands still then, the
// shim kills them. 0: for ever. On other systems than Linux nobody does it for the host.
func (l *Launcher) HoldLease(until time.Duration) { l.spawner.holdLease(int64(until)) }

// OnSilence says what to do when the shim has killed instances because this process stood still: all of them, or those that
// are not kept, since the lease was over. Controllers have been told, so that others may run their tasks. f is called before
// any of the instances is seen to end; it must not wait for one. Launches that have begun before fail.
func (l *Launcher) OnSilence(f func(leaseOnly bool)) { l.spawner.onSilence(f) }

// SetFarewell gives the shim what the program's farewell needs to tell that this host has gone, see shim.Main.
func (l *Launcher) SetFarewell(data json.RawMessage) error { return l.spawner.setFarewell(data) }

// DescribeID is the launch id for processes of this host that are asked to describe themselves, see CatalogConfig.
func (l *Launcher) DescribeID() string { return l.askID }

// Launch starts an instance and returns when it answers RPC. Its error is a *LaunchError, a *HostError where this machine
// could not even start the process, an *IsolationError where it cannot isolate it, or ctx's. Whatever happens, nothing of a
// failed launch is left.
func (l *Launcher) Launch(ctx context.Context, spec LaunchSpec) (*Instance, error) {
	era := l.spawner.era()
	if m := spec.Limits.MemoryBytes; m > 0 && m < skalds.MinMemoryLimit {
		return nil, &LaunchError{
			Plugin: spec.Plugin.Info.Ref(), Kind: skalds.ExitLimit, Limit: skalds.LimitMemory, Permanent: true,
			Message: fmt.Sprintf("memory: a limit of %d bytes is too little for any process: use at least %s", m, mib(skalds.MinMemoryLimit)),
		}
	}
	if i := l.takeWarm(ctx, spec); i != nil {
		return i, nil
	}
	release, err := l.slots.acquire(ctx, spec.Plugin.Info.Name)
	if err != nil {
		return nil, context.Cause(ctx)
	}
	defer release()
	timeout := cmp.Or(spec.StartTimeout, skalds.DefaultStartTimeout)
	if err := spec.Plugin.verify(); err != nil {
		return nil, &HostError{spec.Plugin.Info.Ref(), err}
	}
	closed := &LaunchError{Plugin: spec.Plugin.Info.Ref(), Kind: skalds.ExitHostStop, Message: errSpawnerClosed.Error(), Err: errSpawnerClosed}
	if l.isClosed() {
		return nil, closed
	}
	confined, err := l.confine(spec)
	if err != nil {
		return nil, err
	}
	i, err := l.prepare(spec, confined)
	if errors.As(err, new(*IsolationError)) {
		return nil, err
	}
	if err != nil {
		return nil, &HostError{spec.Plugin.Info.Ref(), err}
	}
	i.era = era
	if !l.begin(i) {
		i.finish()
		return nil, closed
	}
	defer l.end(i)
	stop := context.AfterFunc(ctx, func() { i.Kill(skalds.ExitCancelled, "the launch was cancelled") })
	defer stop()
	started := time.Now()
	if err := i.connect(ctx, timeout); err != nil {
		return nil, l.failed(ctx, i, err, time.Since(started) >= timeout)
	}
	if !stop() {
		<-i.Done() // the kill is under way
		return nil, context.Cause(ctx)
	}
	return i, nil
}

// takeWarm gives a task to a process that was kept ready; nil: there is none that can be used.
func (l *Launcher) takeWarm(ctx context.Context, spec LaunchSpec) *Instance {
	if ctx.Err() != nil {
		return nil
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.launches.Add(1)
	l.mu.Unlock()
	defer l.launches.Done()
	i := l.pool.take(&spec)
	if i == nil {
		return nil
	}
	err := spec.Plugin.verify()
	if err == nil {
		err = i.handOut(spec)
	}
	if err != nil {
		i.Kill(skalds.ExitSuperseded, "it could not be given a task")
		l.log.Debug("a process that was kept ready cannot be used", "task_id", spec.TaskID, "err", err)
		return nil
	}
	return i
}

// begin books a launch, unless the launcher is closed.
func (l *Launcher) begin(i *Instance) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.launching[i.launchID] = i
	l.launches.Add(1)
	return true
}

func (l *Launcher) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *Launcher) end(i *Instance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.launching, i.launchID)
	l.launches.Done()
}

// book makes a forked instance known. One that shall not live any more is killed: the kill may have come before the fork.
func (l *Launcher) book(i *Instance) {
	l.mu.Lock()
	if !i.idle {
		l.instances[i.launchID] = i
	}
	closed := l.closed
	l.mu.Unlock()
	if closed {
		i.Kill(skalds.ExitHostStop, "the host was stopped")
	} else if i.reason() != nil {
		i.signalTree(syscall.SIGKILL)
	}
}

// failed cleans up after a launch and says what went wrong.
func (l *Launcher) failed(ctx context.Context, i *Instance, err error, late bool) error {
	p := i.process()
	if p != nil {
		p.awaitOwnEnd()
	}
	i.Kill(skalds.ExitHandshake, "the launch failed")
	if p == nil { // no process came into being
		i.finish()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if i.spec.Limits.PIDs > 0 && errors.Is(err, syscall.EAGAIN) {
			return &LaunchError{Plugin: i.spec.Plugin.Info.Ref(), Kind: skalds.ExitLimit, Limit: skalds.LimitPIDs, Message: refusedText(1, i.spec.Limits), Err: err}
		}
		if !i.unusable {
			return &HostError{i.spec.Plugin.Info.Ref(), err}
		}
		return &LaunchError{Plugin: i.spec.Plugin.Info.Ref(), Kind: skalds.ExitHandshake, Message: err.Error(), Err: err, Permanent: true}
	}
	<-i.Done()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	st := i.Status()
	if err := i.confined.fault(st, i.StderrTail()); err != nil {
		return err
	}
	e := &LaunchError{Plugin: i.spec.Plugin.Info.Ref(), Status: st, Stderr: i.StderrTail(), Err: err}
	switch {
	case st.Kill != nil && st.Kill.Kind != skalds.ExitHandshake: // over a limit, or the host stops
		e.Kind, e.Message, e.Limit = st.Kill.Kind, st.Kill.Message, st.Kill.Limit
	case st.OOM:
		e.Kind, e.Message, e.Limit = skalds.ExitOOM, oomText(itself, st.Peak, i.spec.Limits), memoryIfLimited(st.Peak, i.spec.Limits)
	case st.Refused > 0 && wantedMore(i.StderrTail()):
		e.Kind, e.Message, e.Limit = skalds.ExitLimit, refusedText(st.Refused, i.spec.Limits), skalds.LimitPIDs
	case st.Signal == 0 && st.Code >= 0:
		e.Kind, e.Message = skalds.ExitHandshake, "ended with "+st.String()+" before it was ready"
	case st.Kill == nil:
		e.Kind, e.Message = skalds.ExitSignal, "was "+st.String()+" before it was ready"
	case late:
		e.Kind, e.Message = skalds.ExitStartTimeout, "was not ready in time: "+lateText(i)
	default:
		e.Kind, e.Message, e.Permanent = skalds.ExitHandshake, handshakeFault(err), true
	}
	return e
}

// lateText says what a process that took too long has not done.
func lateText(i *Instance) string {
	if i.Worker() == nil {
		return "no handshake came"
	}
	return "it shook hands and then did not answer"
}

// prepare makes the private folder, the token and the host's socket: the intent is on disk before anything is forked.
func (l *Launcher) prepare(spec LaunchSpec, confined *confinement) (*Instance, error) {
	var b [24]byte
	_, _ = rand.Read(b[:])
	launchID := l.prefix + "-" + hex.EncodeToString(b[:8])
	dir := filepath.Join(l.base, strconv.FormatInt(l.nextDir.Add(1), 36)+"-"+hex.EncodeToString(b[:2]))
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrNotExist) { // somebody has cleared up: the folder often lies among temporary files
		if err = makeRunDir(l.base); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("private folder: %w", err)
	}
	if err := confined.takeOver(l.base); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	token := hex.EncodeToString(b[8:])
	i := &Instance{l: l, spec: spec, confined: confined, dir: dir, launchID: launchID, token: token, out: newOutput(spec.Log), done: make(chan struct{})}
	i.early[0].cutter = lineCutter{out: i.out, stream: StreamOut}
	i.early[1].cutter = lineCutter{out: i.out, stream: StreamErr}
	tokenFile := filepath.Join(dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	theirs := []string{tokenFile}
	i.env = append(append(limitEnv(spec.Limits), confined.env(dir)...), spec.Env...)
	i.env = append(i.env, protocol.EnvTokenFile+"="+tokenFile, protocol.EnvLaunchID+"="+launchID, protocol.EnvInstanceDir+"="+dir)
	if spec.Services != nil {
		socket := filepath.Join(dir, "h.sock")
		ln, err := net.Listen("unix", socket)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("host services: %w", err), os.RemoveAll(dir))
		}
		i.late, _ = spec.Services.(*lateServices)
		i.services = protocol.NewHostServicesServer(spec.Services, token)
		go func() { _ = i.services.Serve(ln) }() // returns at Stop
		i.env = append(i.env, protocol.EnvHostSocket+"="+socket)
		theirs = append(theirs, socket)
	}
	err = confined.give(append(theirs, dir)...)
	if err == nil {
		err = confined.reach(dir)
	}
	if err != nil {
		i.finish()
		return nil, err
	}
	return i, nil
}

// connect forks, shakes hands, makes the client and asks the process who it is: only an answer proves that it is the
// worker and knows the token.
func (i *Instance) connect(ctx context.Context, timeout time.Duration) error {
	i.timeout = timeout
	deadline := time.Now().Add(timeout)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  protocol.Handshake(),
		Plugins:          protocol.Plugins(nil, i.token),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		SyncStdout:       &i.early[0],
		SyncStderr:       &i.early[1],
		SkipHostEnv:      true,
		StartTimeout:     timeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: i.dir},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, sockets string) (runner.Runner, error) {
			if err := i.confined.give(sockets); err != nil {
				return nil, err
			}
			return i.newProcess(cmd)
		},
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithIdleTimeout(0), grpc.WithReadBufferSize(16 << 10), grpc.WithWriteBufferSize(16 << 10),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(protocol.MaxMessageBytes), grpc.MaxCallSendMsgSize(protocol.MaxMessageBytes)),
		},
	})
	i.client = client
	rpc, err := client.Client()
	if err != nil {
		return err
	}
	raw, err := rpc.Dispense(protocol.PluginName)
	if err != nil {
		return fmt.Errorf("dispense: %w", err)
	}
	w, ok := raw.(protocol.Worker)
	if !ok {
		return fmt.Errorf("dispense: got a %T", raw)
	}
	var conn io.Closer
	if g, ok := rpc.(*plugin.GRPCClient); ok {
		conn = g.Conn
	}
	i.setWorker(w, conn)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	d, err := w.Describe(ctx, protocol.DescribeRequest{Brief: true})
	if err != nil {
		return fmt.Errorf("shook hands and then refused: %w", err)
	}
	i.look()
	if ref := d.Name + "@" + d.Version; ref != i.spec.Plugin.Info.Ref() {
		return fmt.Errorf("is %s: the file was exchanged", ref)
	}
	go i.duty.run() // from here on calls have time to be answered; it ends with the process
	return nil
}

// newProcess makes the runner and books the instance as soon as it is forked.
func (i *Instance) newProcess(cmd *exec.Cmd) (*process, error) {
	p, err := newProcess(i.spec.Plugin.Path, i.env, cmd, i.out)
	if err != nil {
		return nil, err
	}
	p.spawn = func(path string, env []string, stdout, stderr *os.File) (child, error) {
		spec, err := i.startSpec(path, env)
		if err != nil {
			return nil, err
		}
		c, err := i.l.spawner.start(i.era, spec, stdout, stderr, i.timeout)
		i.unusable = isUnusable(err)
		return c, err
	}
	p.onKill = func() { i.setReason(skalds.ExitHandshake, "the launch failed") }
	p.onExit = i.exited
	p.onStart = func() {
		i.startedAt = time.Now()
		i.meter = procstats.NewMeter(p.id)
		if i.l.needsDutyCycle(i.spec.Limits) {
			i.duty = newDutyCycle(i)
		}
		i.mu.Lock()
		i.proc = p
		i.mu.Unlock()
		i.l.book(i)
		go i.awaitEnd()
	}
	return p, nil
}

// startSpec is what the spawner has to know. It makes the control group.
func (i *Instance) startSpec(path string, env []string) (shim.Spec, error) {
	spec := shim.Spec{
		Path: path, Args: []string{path}, Env: env, Nice: i.spec.Nice, OOMScore: oomScore, Rlimits: rlimits(i.spec.Limits),
		Mark: shim.Mark{TaskID: i.spec.TaskID, Epoch: i.spec.Epoch, Keep: i.spec.Keep},
	}
	if i.group == nil {
		g, err := i.l.groups.fresh(i.launchID, i.spec.Limits, i.idle)
		if err != nil {
			return spec, fmt.Errorf("%w: %w", errNoGroup, err)
		}
		i.group = g
	}
	j, err := joinOf(i.group)
	if err != nil {
		return spec, fmt.Errorf("%w: %w", errNoGroup, err)
	}
	spec.CgroupDir, spec.Join, spec.Leave, spec.Cgroups = j.dir, j.enter, j.back, j.all
	if file := i.l.groups.killFile(j); file != "" && i.confined.lets(file) {
		spec.Env = append(spec.Env, protocol.EnvCgroupKill+"="+file)
	}
	i.confined.apply(&spec, i.dir)
	return spec, nil
}

// all is a snapshot of the instances.
func (l *Launcher) all() []*Instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*Instance, 0, len(l.instances))
	for _, i := range l.instances {
		out = append(out, i)
	}
	return out
}

// Run measures and holds limits until ctx ends; then it kills every tree and returns when all are gone.
func (l *Launcher) Run(ctx context.Context) error {
	var filling sync.WaitGroup
	filling.Go(func() { l.pool.run(ctx) })
	l.measure(ctx)
	filling.Wait()
	l.pool.close()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	for _, i := range l.all() {
		i.Kill(skalds.ExitHostStop, "the host was stopped")
	}
	l.launches.Wait()           // a launch that was under way finds its process killed
	for _, i := range l.all() { // but for one that was handed out meanwhile
		i.Kill(skalds.ExitHostStop, "the host was stopped")
	}
	for _, i := range l.all() {
		<-i.Done()
	}
	l.spawner.close()
	l.reapOrphans(true)
	l.removals.Wait()
	if err := l.groups.close(); err != nil {
		l.log.Warn("control groups are left behind", "err", err)
	}
	_ = os.Remove(l.base) // stays where something is left in it
	return nil
}
