package rtsptest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Config of a Camera.
type Config struct {
	// Listen is the TCP address; default 127.0.0.1:0.
	Listen string
	// Path of the stream; default /stream.
	Path string
	// User and Password, when set, are asked for.
	User, Password string
	// Auth is the way to ask: "digest" (MD5, the default), "sha256" or "basic".
	Auth string
	// FPS is the number of pictures a second; default 10. The clip has a key frame every ten pictures.
	FPS int
	// Clip is one of Clips; default "320x180".
	Clip string
	// Sound is one of Sounds; default SoundNone.
	Sound string
	// SoundDelay is how much later than the pictures of the same moment sound is sent.
	SoundDelay time.Duration
	// MTU is the largest RTP payload of video; default 1200.
	MTU int
	// SessionTimeout is what the camera announces; sessions over UDP end when the client is silent for longer. Default 60 s.
	SessionTimeout time.Duration
	// MaxSessions is how many clients may play at a time; others are refused with 453. 0 is no bound.
	MaxSessions int
	// Faults happen by themselves.
	Faults []Fault
	// Seed makes the random faults repeatable.
	Seed uint64
}

// Validate says what is wrong with c.
func (c Config) Validate() error {
	var errs []error
	switch c.Auth {
	case "", "digest", "sha256", "basic":
	default:
		errs = append(errs, fmt.Errorf("auth %q is unknown: use digest, sha256 or basic", c.Auth))
	}
	if _, err := findSource(c.Clip); err != nil {
		errs = append(errs, err)
	}
	if _, err := newSound(c.Sound); err != nil {
		errs = append(errs, err)
	}
	if c.SoundDelay < 0 {
		errs = append(errs, fmt.Errorf("sound cannot be %v late", c.SoundDelay))
	}
	if c.FPS < 0 || c.FPS > 200 {
		errs = append(errs, fmt.Errorf("fps %d is outside 1 to 200", c.FPS))
	}
	if c.MaxSessions < 0 {
		errs = append(errs, fmt.Errorf("at most %d sessions make no sense", c.MaxSessions))
	}
	for _, f := range c.Faults {
		errs = append(errs, f.Validate())
	}
	return errors.Join(errs...)
}

// jumpSeconds is how far FaultClockJump lets the clocks jump.
const jumpSeconds = 5 * 3600

// Camera is an RTSP server that loops a clip. Its methods may be called from any goroutine.
type Camera struct {
	cfg   Config
	log   hclog.Logger
	clips [2]clip // the one that is shown, and the other one of the same coding
	sound *sound  // nil without
	addr  string

	frames  atomic.Int64
	packets atomic.Int64
	planned chan []Fault
	lost    atomic.Int64
	denied  atomic.Int64
	played  atomic.Int64
	reports atomic.Int64

	// mu guards what follows.
	mu       sync.Mutex
	rng      *rand.Rand
	listener net.Listener
	closed   bool
	until    map[string]time.Time // end of each lasting fault
	rates    map[string]float64
	delay    time.Duration // of FaultSlow
	playing  int           // sessions that were set up
	jumps    int           // of the RTP clocks so far
	garbage  int           // number of garbage faults so far
	sessions map[*session]struct{}
	changed  chan struct{} // closed and replaced when a fault begins
}

// NewCamera listens at once, so that Addr and URL are known; Run serves.
func NewCamera(cfg Config, log hclog.Logger) (*Camera, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure camera: %w", err)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Path == "" {
		cfg.Path = "/stream"
	}
	if cfg.Path[0] != '/' {
		cfg.Path = "/" + cfg.Path
	}
	if cfg.FPS == 0 {
		cfg.FPS = 10
	}
	if cfg.MTU == 0 {
		cfg.MTU = 1200
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = time.Minute
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	first, err := findSource(cfg.Clip)
	if err != nil {
		return nil, fmt.Errorf("configure camera: %w", err)
	}
	second, err := findSource(first.other)
	if err != nil {
		return nil, fmt.Errorf("configure camera: %w", err)
	}
	sound, err := newSound(cfg.Sound)
	if err != nil {
		return nil, fmt.Errorf("configure camera: %w", err)
	}
	c := &Camera{
		sound: sound,
		cfg:   cfg, log: log, clips: [2]clip{first.cut(), second.cut()}, rng: rand.New(rand.NewPCG(cfg.Seed, 1)),
		until: map[string]time.Time{}, rates: map[string]float64{}, planned: make(chan []Fault, 1), sessions: map[*session]struct{}{}, changed: make(chan struct{}),
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("start camera: %w (another program on that port? choose another listen address)", err)
	}
	c.listener, c.addr = l, l.Addr().String()
	return c, nil
}

// Addr is the host and port on which the camera answers.
func (c *Camera) Addr() string { return c.addr }

// URL is the address for a client, with user and password.
func (c *Camera) URL() string {
	u := url.URL{Scheme: "rtsp", Host: c.addr, Path: c.cfg.Path}
	if c.cfg.User != "" {
		u.User = url.UserPassword(c.cfg.User, c.cfg.Password)
	}
	return u.String()
}

// FramesSent is the number of pictures sent so far, to all clients together, those with dropped packets included.
func (c *Camera) FramesSent() int64 { return c.frames.Load() }

// PacketsDropped is the number of RTP packets that faults kept back.
func (c *Camera) PacketsDropped() int64 { return c.lost.Load() }

// Denied is the number of requests answered with 401 although they carried credentials.
func (c *Camera) Denied() int64 { return c.denied.Load() }

// Plays is the number of PLAY requests so far.
func (c *Camera) Plays() int64 { return c.played.Load() }

// Reports is the number of RTCP packets that clients sent.
func (c *Camera) Reports() int64 { return c.reports.Load() }

// Clients is the number of connections that are open.
func (c *Camera) Clients() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// Close stops listening and drops all clients. Calling it again does nothing.
func (c *Camera) Close() error {
	c.mu.Lock()
	c.closed = true
	l := c.listener
	c.listener = nil
	c.mu.Unlock()
	c.drop(false)
	if l == nil {
		return nil
	}
	return l.Close()
}

// Run serves until ctx ends; then all clients are dropped and nil is returned.
func (c *Camera) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	wg.Go(func() { c.plan(ctx) })
	for {
		l := c.currentListener()
		if l == nil {
			if ctx.Err() != nil || !c.waitListening(ctx) {
				return nil
			}
			continue
		}
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if c.currentListener() == l {
				return fmt.Errorf("accept client: %w", err)
			}
			continue
		}
		s := newSession(c, conn)
		if !c.add(s) {
			s.reset()
			continue
		}
		wg.Go(func() {
			defer c.remove(s)
			s.serve(ctx)
		})
	}
}

func (c *Camera) currentListener() net.Listener {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listener
}

// waitListening waits until a refusal is over and listens again on the same address.
func (c *Camera) waitListening(ctx context.Context) bool {
	for {
		left, closed := c.left(FaultRefuse)
		if closed {
			return false
		}
		if left <= 0 {
			l, err := net.Listen("tcp", c.addr)
			if err == nil {
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.closed {
					_ = l.Close()
					return false
				}
				c.listener = l
				return true
			}
			c.log.Warn("cannot listen again", "address", c.addr, "err", err)
			left = 100 * time.Millisecond
		}
		if !sleep(ctx, min(left, 50*time.Millisecond)) { // Heal and Close may come first
			return false
		}
	}
}

func (c *Camera) left(kind string) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.until[kind]), c.closed
}

func (c *Camera) add(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || time.Now().Before(c.until[FaultRefuse]) {
		return false
	}
	c.sessions[s] = struct{}{}
	return true
}

func (c *Camera) remove(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
}

func (c *Camera) drop(reset bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.sessions {
		if reset {
			s.reset()
		} else {
			s.close()
		}
	}
}

// enter takes a place for a session; leave gives it back.
func (c *Camera) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.MaxSessions > 0 && c.playing >= c.cfg.MaxSessions {
		return false
	}
	c.playing++
	return true
}

func (c *Camera) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.playing--
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
