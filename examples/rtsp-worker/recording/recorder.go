package recording

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/fmp4"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// Observer is told what happens to the files. Its methods must not block and must not call the Recorder.
type Observer interface {
	// Segment is called when a file is opened, ended, repaired or deleted; the same path again replaces what was said before.
	Segment(Segment)
	// Problem is called when nothing can be written, once per reason, and with nil when it is over.
	Problem(error)
}

// Stats of a Recorder.
type Stats struct {
	// Frames and Bytes written, Segments opened.
	Frames, Bytes, Segments int64
	// LostFrames were received but could not be written.
	LostFrames int64
}

// Recorder writes the files. Its methods may be called from any goroutine.
type Recorder struct {
	cfg      Config
	observer Observer
	log      hclog.Logger
	wake     chan struct{} // holds one token when the Janitor shall look at once
	born     time.Time     // what was written later is no former process's

	// mu guards what follows.
	mu      sync.Mutex
	line    timeline
	sound   soundQueue
	open    *openSegment // nil while no segment is begun
	retryAt time.Time    // nothing is tried before
	problem string
	stats   Stats
}

// openSegment is the segment that is being written. Its file is made with its first part, so that no file is ever empty.
type openSegment struct {
	info     Segment
	params   *video.Params
	sound    *aac.Config // nil in a file without
	file     File
	base     int64 // time of decoding of the first picture
	heard    int64 // end of the sound so far, in its own ticks from the beginning of the file
	samples  []fmp4.Sample
	partAt   int64
	ticks    int64     // collected in samples
	wall     time.Time // when the last of them came
	duration int64     // written
	synced   time.Time
}

// New checks cfg. Nothing is written before the first key frame.
func New(cfg Config, observer Observer, log hclog.Logger) (*Recorder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure recording: %w", err)
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Recorder{cfg: cfg.withDefaults(), observer: observer, log: log, wake: make(chan struct{}, 1), born: time.Now()}, nil
}

// Unit takes a picture that came at now.
func (r *Recorder) Unit(u video.Unit, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.line.pending) == 0 && r.open == nil && !u.Key {
		return // nothing to decode it with
	}
	if s, ok := r.line.push(u, now); ok {
		r.take(s)
	}
}

// Expect says that sound of this kind will come beside the pictures, so that the next file is ready for it; nil says nothing.
func (r *Recorder) Expect(sound *aac.Config, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sound = soundQueue{config: sound, at: now}
}

// Sound takes a frame of sound that came at now. It goes where the pictures of its time go, and nowhere without them.
func (r *Recorder) Sound(f aac.Frame, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sound.push(f, now)
}

// Cut ends the segment, if one is open: what comes next begins a new one, at a key frame.
func (r *Recorder) Cut(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.line.flush() {
		r.take(s)
	}
	r.end(reason)
	r.sound = soundQueue{}
}

// Configure changes the lengths and bounds of a running recorder; folder, epoch and disk stay.
func (r *Recorder) Configure(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("configure recording: %w", err)
	}
	cfg = cfg.withDefaults()
	r.mu.Lock()
	defer r.mu.Unlock()
	cfg.Dir, cfg.Epoch, cfg.Disk = r.cfg.Dir, r.cfg.Epoch, r.cfg.Disk
	r.cfg = cfg
	r.kick()
	return nil
}

// Stats returns the counters.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

func (r *Recorder) config() Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg
}

// openPath is the file being written, "" when there is none.
func (r *Recorder) openPath() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		return ""
	}
	return r.open.info.Path
}

func (r *Recorder) kick() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// take puts a sample where it belongs.
func (r *Recorder) take(s timed) {
	if r.open != nil && !s.params.Equal(r.open.params) {
		r.end(EndParams)
	}
	if r.open != nil && s.Key && s.at-r.open.base >= ticks(r.cfg.Segment) {
		r.end(EndRotate)
	}
	if r.open != nil && s.Key && r.open.file != nil {
		if c := r.sound.current(s.wall); c != nil && c != r.open.sound {
			r.end(EndParams) // the file has no track for it
		}
	}
	if r.open == nil && !r.begin(s) {
		if r.problem != "" {
			r.stats.LostFrames++
		}
		return
	}
	o := r.open
	if len(o.samples) == 0 {
		o.partAt = s.at
	}
	o.samples, o.wall = append(o.samples, s.Sample), s.wall
	if o.ticks += int64(s.Duration); o.ticks >= ticks(r.cfg.Part) {
		r.flush(s.wall)
	}
}

func ticks(d time.Duration) int64 { return int64(d) * video.ClockRate / int64(time.Second) }

func (r *Recorder) begin(s timed) bool {
	if !s.Key || s.wall.Before(r.retryAt) {
		return false
	}
	r.open = &openSegment{
		info:   Segment{Epoch: r.cfg.Epoch, StartedAt: s.wall.UTC(), Codec: s.params.Codec, Width: s.params.Width, Height: s.params.Height},
		params: s.params, base: s.at, synced: s.wall,
	}
	return true
}

// flush writes the collected samples as one part, with a single write.
func (r *Recorder) flush(now time.Time) {
	o := r.open
	if len(o.samples) == 0 {
		return
	}
	err := r.write(now)
	if err != nil {
		r.fail(err, now)
		return
	}
	o.info.Parts++
	o.info.Frames += len(o.samples)
	o.duration += o.ticks
	o.info.Duration = time.Duration(o.duration) * time.Second / video.ClockRate
	r.stats.Frames += int64(len(o.samples))
	o.samples, o.ticks = o.samples[:0], 0
	if o.info.Parts == 1 {
		r.stats.Segments++
		r.observer.Segment(o.info)
	}
	if r.problem != "" {
		r.problem = ""
		r.log.Info("recording again", "path", o.info.Path)
		r.observer.Problem(nil)
	}
}

func (r *Recorder) write(now time.Time) error {
	o := r.open
	var part []byte
	if o.file == nil {
		var err error
		o.sound = r.sound.current(o.wall)
		if part, err = fmp4.Header(o.params, o.sound); err != nil {
			return err
		}
		o.info.Sound = o.sound != nil
		if err := r.create(); err != nil {
			return err
		}
	}
	var sound fmp4.Run
	if o.sound != nil {
		sound = o.run(r.sound.take(o.partAt + o.ticks))
	}
	part = fmp4.AppendPart(part, uint32(o.info.Parts+1), fmp4.Run{Base: uint64(o.partAt - o.base), Samples: o.samples}, sound)
	if _, err := o.file.Write(part); err != nil {
		return err
	}
	o.info.Bytes += int64(len(part))
	r.stats.Bytes += int64(len(part))
	if r.cfg.Sync > 0 && now.Sub(o.synced) >= r.cfg.Sync {
		o.synced = now
		return o.file.Sync()
	}
	return nil
}

// end finishes the open segment.
func (r *Recorder) end(reason string) {
	if r.open == nil {
		return
	}
	r.flush(time.Now())
	if o := r.open; o != nil { // the disk took the rest
		r.open = nil
		r.finish(o, reason)
		r.kick()
	}
}

// finish seals and closes a file that holds whole parts only.
func (r *Recorder) finish(o *openSegment, reason string) {
	seal := fmp4.Seal(reason)
	if _, err := o.file.Write(seal); err != nil {
		_ = o.file.Truncate(o.info.Bytes) // it plays without
	} else {
		o.info.Bytes += int64(len(seal))
	}
	if r.cfg.Sync > 0 {
		if err := o.file.Sync(); err != nil {
			r.log.Warn("cannot sync recording", "path", o.info.Path, "err", err)
		}
	}
	if err := o.file.Close(); err != nil {
		r.log.Warn("cannot close recording", "path", o.info.Path, "err", err)
	}
	o.info.EndedAt = o.info.StartedAt.Add(o.info.Duration)
	o.info.EndReason = reason
	r.log.Info("segment ended", "path", o.info.Path, "reason", reason, "duration", o.info.Duration.Round(time.Millisecond), "bytes", o.info.Bytes)
	r.observer.Segment(o.info)
}

// fail gives up the open segment after a failed write: the file keeps its whole parts.
func (r *Recorder) fail(err error, now time.Time) {
	o := r.open
	r.open = nil
	r.stats.LostFrames += int64(len(o.samples))
	r.retryAt = now.Add(r.cfg.DiskRetry)
	if o.file != nil {
		if terr := o.file.Truncate(o.info.Bytes); terr != nil {
			r.log.Warn("cannot cut recording to its last whole part", "path", o.info.Path, "err", terr)
		}
		if o.info.Parts > 0 {
			r.finish(o, EndDisk)
		} else {
			_ = o.file.Close()
			if rerr := os.Remove(o.info.Path); rerr != nil {
				r.log.Warn("cannot remove empty recording", "path", o.info.Path, "err", rerr)
			}
		}
	}
	problem := writeProblem(err, r.cfg.Dir)
	if text := problem.Error(); text != r.problem {
		r.problem = text
		r.log.Debug("cannot record", "err", problem, "retry_in", r.cfg.DiskRetry.String())
		r.observer.Problem(problem)
	}
	r.kick()
}
