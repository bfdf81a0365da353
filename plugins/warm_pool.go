package plugins

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugins/procstats"
	"github.com/skalds-go/skalds/plugins/shim"
)

// WarmConfig bounds the processes that are kept ready. The zero value keeps none.
type WarmConfig struct {
	Processes   int   // at most, of all versions; 0: none
	Nice        int   // of theirs; tasks that ask for another niceness start cold
	MemoryBytes int64 // that they may take together; 0: a twentieth of the machine's
}

const (
	// warmTick is how often the pool is looked at, beside after each hand-out.
	warmTick = 500 * time.Millisecond
	// warmYield is how long a new process waits after a hand-out: starting one takes what the task needs to begin.
	warmYield = 5 * time.Millisecond
	// lowMemory is the part of the machine's memory below which no process waits for work.
	lowMemory = 0.10
	// warmPause is how long the pool stays empty after the machine was short of memory, and how long a version is left alone
	// whose ready processes die.
	warmPause = time.Minute
)

// warmPool keeps processes ready that have shaken hands and have no task. Each is used for one task.
type warmPool struct {
	l    *Launcher
	cfg  WarmConfig
	kick chan struct{}
	free func() (available, total int64) // memory of the machine

	mu       sync.Mutex // guards what follows
	versions map[warmKey]*warmVersion
	pause    time.Time // until then nothing is kept
	closed   bool
	births   sync.WaitGroup // grows only while not closed
}

// warmKey is one file.
type warmKey struct {
	path, ref string
	file      fileIdentity
}

func keyOf(p *Plugin) warmKey { return warmKey{p.Path, p.Info.Ref(), p.id} }

// warmVersion is one plugin that was launched lately.
type warmVersion struct {
	plugin *Plugin
	demand warmDemand
	ready  []*Instance
	born   int // births under way
	memory int64
	bad    time.Time // until then none is started: those before have died
}

func newWarmPool(l *Launcher, cfg WarmConfig) *warmPool {
	if cfg.MemoryBytes == 0 {
		_, total := procstats.AvailableMemory()
		cfg.MemoryBytes = total / 20
	}
	return &warmPool{l: l, cfg: cfg, kick: make(chan struct{}, 1), free: procstats.AvailableMemory, versions: map[warmKey]*warmVersion{}}
}

// take gives a ready process for a launch, or nil. Whether there is one or not, it notes the demand, if one could be used.
func (w *warmPool) take(spec *LaunchSpec) *Instance {
	if w.cfg.Processes <= 0 || len(spec.Env) > 0 || spec.Nice != w.cfg.Nice || !spec.Isolation.IsZero() {
		return nil // what a process begins with cannot be given to one that has begun
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	v := w.versions[keyOf(spec.Plugin)]
	if v == nil {
		v = &warmVersion{plugin: spec.Plugin, memory: warmMemory}
		w.versions[keyOf(spec.Plugin)] = v
	}
	v.demand.arrive(time.Now(), 1)
	time.AfterFunc(warmYield, w.look)
	if len(v.ready) == 0 {
		return nil
	}
	i := v.ready[len(v.ready)-1]
	v.ready = v.ready[:len(v.ready)-1]
	return i
}

// look has the pool looked at.
func (w *warmPool) look() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// run fills and empties the pool until ctx ends.
func (w *warmPool) run(ctx context.Context) {
	if w.cfg.Processes <= 0 {
		return
	}
	t := time.NewTicker(warmTick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-w.kick:
		}
		w.adjust(time.Now())
	}
}

// adjust starts and ends processes as the demand is.
func (w *warmPool) adjust(now time.Time) {
	available, total := w.free()
	var gone []*Instance
	w.mu.Lock()
	if total > 0 && float64(available) < lowMemory*float64(total) {
		w.pause = now.Add(warmPause)
	}
	room, memory := w.cfg.Processes, w.cfg.MemoryBytes
	for key, v := range w.versions {
		wanted := v.demand.wanted(now, w.cfg.Processes)
		if now.Before(w.pause) || v.plugin.verify() != nil {
			wanted = 0
		}
		for len(v.ready) > wanted {
			gone = append(gone, v.ready[0])
			v.ready = v.ready[1:]
		}
		room -= len(v.ready) + v.born
		memory -= int64(len(v.ready)+v.born) * v.memory
		if wanted == 0 && v.born == 0 && len(v.ready) == 0 && now.Sub(v.demand.last) > warmFor {
			delete(w.versions, key)
		}
	}
	for _, v := range w.versions {
		wanted := v.demand.wanted(now, w.cfg.Processes)
		// One at a time, and none while tasks wait for processors: a process that may be needed gives way to one that is.
		if now.Before(w.pause) || now.Before(v.bad) || v.born > 0 || len(v.ready) >= wanted || room <= 0 || memory < v.memory || w.l.busy() {
			continue
		}
		if w.closed || v.plugin.verify() != nil {
			continue
		}
		room--
		memory -= v.memory
		v.born++
		w.births.Go(func() { w.birth(v) })
	}
	w.mu.Unlock()
	for _, i := range gone {
		i.Kill(skalds.ExitSuperseded, "nobody needed it")
	}
}

// birth starts one process and puts it with the others.
func (w *warmPool) birth(v *warmVersion) {
	i, err := w.l.launchIdle(v.plugin)
	w.mu.Lock()
	defer w.mu.Unlock()
	v.born--
	if err != nil {
		v.bad = time.Now().Add(warmPause)
		w.l.log.Debug("cannot keep a process ready", "worker", v.plugin.Info.Ref(), "err", err)
		return
	}
	if w.closed {
		go i.Kill(skalds.ExitHostStop, "the host was stopped")
		return
	}
	if m := i.Peak().MemoryBytes; m > 0 {
		v.memory = m
	}
	v.ready = append(v.ready, i)
	w.look() // maybe there is another to start
	go func() {
		<-i.Done()
		w.lost(v, i)
	}()
}

// lost takes out one that has ended while it was waiting.
func (w *warmPool) lost(v *warmVersion, i *Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, r := range v.ready {
		if r == i {
			v.ready = append(v.ready[:n:n], v.ready[n+1:]...)
			if i.reason() == nil {
				v.bad = time.Now().Add(warmPause)
				w.l.log.Warn("a worker ends while it waits for a task: none of it is kept ready for a while", "worker", v.plugin.Info.Ref(), "status", i.Status().String())
			}
			return
		}
	}
}

// close ends all that is ready and waits for what is under way.
func (w *warmPool) close() {
	w.mu.Lock()
	w.closed = true
	var all []*Instance
	for _, v := range w.versions {
		all = append(all, v.ready...)
		v.ready = nil
	}
	w.mu.Unlock()
	for _, i := range all {
		i.Kill(skalds.ExitHostStop, "the host was stopped")
	}
	w.births.Wait()
	for _, i := range all {
		<-i.Done()
	}
}

// Warm counts the processes that wait for a task.
func (l *Launcher) Warm() (n int) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	for _, v := range l.pool.versions {
		n += len(v.ready)
	}
	return n
}

// busy reports whether as many launches are under way as there are processors.
func (l *Launcher) busy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, i := range l.launching {
		if !i.idle {
			n++
		}
	}
	return n >= runtime.NumCPU()
}

// launchIdle starts a process without a task.
func (l *Launcher) launchIdle(p *Plugin) (*Instance, error) {
	ctx, cancel := context.WithTimeout(context.Background(), skalds.DefaultStartTimeout)
	defer cancel()
	release, err := l.slots.acquire(ctx, p.Info.Name)
	if err != nil {
		return nil, err
	}
	defer release()
	i, err := l.prepare(LaunchSpec{Plugin: p, Nice: l.cfg.Warm.Nice, Services: &lateServices{}}, nil)
	if err != nil {
		return nil, err
	}
	i.idle, i.era = true, l.spawner.era()
	if !l.begin(i) {
		i.finish()
		return nil, errSpawnerClosed
	}
	defer l.launches.Done() // it stays among those that are launched until it has a task
	if err := i.connect(ctx, skalds.DefaultStartTimeout); err != nil {
		return nil, l.failed(ctx, i, err, false)
	}
	return i, nil
}

// errEnded says that a ready process has ended just now.
var errEnded = errors.New("it has ended")

// handOut gives an idle process its task: limits, log, services, and its place among those that are measured.
func (i *Instance) handOut(spec LaunchSpec) error {
	if p, err := procstats.Read(i.PID()); err != nil || p.ID != i.proc.id || p.State == 'T' || p.State == 't' || p.State == 'Z' {
		return errEnded // or stands still, which nobody would find out before its task is late
	}
	if i.group != nil && !spec.Limits.IsZero() { // as it was born
		if err := i.group.Set(groupLimits(spec.Limits, true)); err != nil {
			return err
		}
	}
	if spec.Limits.MemoryBytes > 0 { // the others are set at birth
		if err := setRlimits(i.PID(), rlimits(spec.Limits)); err != nil {
			return err
		}
	}
	i.mu.Lock()
	if i.over {
		i.mu.Unlock()
		return errEnded
	}
	i.spec = spec
	i.startedAt = time.Now()
	i.mu.Unlock()
	if late := i.late; late != nil {
		late.give(spec.Services)
	}
	i.out.handTo(spec.Log)
	i.proc.child.Mark(shim.Mark{TaskID: spec.TaskID, Epoch: spec.Epoch, Keep: spec.Keep})
	if i.l.needsDutyCycle(spec.Limits) {
		i.duty = newDutyCycle(i)
		go i.duty.run()
	}
	i.l.mu.Lock()
	defer i.l.mu.Unlock()
	select {
	case <-i.done: // and nobody would take it out again
		return errEnded
	default:
	}
	delete(i.l.launching, i.launchID)
	i.l.instances[i.launchID] = i
	return nil
}
