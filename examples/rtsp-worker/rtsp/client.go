package rtsp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// State of a Client.
type State string

// The states.
const (
	// Connecting: no picture yet, or none since the connection was lost.
	Connecting State = "connecting"
	// Receiving: complete pictures arrive.
	Receiving State = "receiving"
	// AuthFailed: the camera refused user and password; tried again slowly.
	AuthFailed State = "auth_failed"
)

// Handler is told what a Client receives. Its methods are called one at a time; while one of them runs, nothing is read from the
// camera.
type Handler interface {
	// Began is called before the first unit of each connection; sound is what the camera has agreed to send beside it, nil without.
	Began(sound *aac.Config)
	// Unit is called for every complete access unit. The handler may keep it.
	Unit(video.Unit)
	// Sound is called for every frame of sound, from the first unit of a connection on. The handler may keep it.
	Sound(aac.Frame)
	// Ended is called after each connection, with the reason, the pause before the next try and the state until then.
	Ended(state State, err error, retryIn time.Duration)
}

// Client stays connected to one camera.
type Client struct {
	cfg     Config
	url     *url.URL
	user    *url.Userinfo
	handler Handler
	log     hclog.Logger

	// mu guards what follows.
	mu       sync.Mutex
	state    State
	total    Stats // of earlier connections
	now      Stats // of this one
	connects int64
	last     time.Time
}

// New checks cfg; Run connects.
func New(cfg Config, handler Handler, log hclog.Logger) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure rtsp client: %w", err)
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	u, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg.withDefaults(), user: u.User, handler: handler, log: log.With("url", MaskURL(cfg.URL)), state: Connecting}
	plain := *u
	plain.User, plain.Fragment = nil, ""
	c.url = &plain
	return c, nil
}

// Run connects and receives until ctx ends; then it returns nil.
func (c *Client) Run(ctx context.Context) error {
	pause := backoff{min: c.cfg.BackoffMin, max: c.cfg.BackoffMax}
	silent, said := false, ""
	for {
		var since time.Time
		s := &session{cfg: c.cfg, log: c.log, url: c.url, silent: silent, unheard: func(why error) {
			if text := c.mask(why).Error(); text != said { // not at every connection
				said = text
				c.log.Warn("recording without sound", "reason", text)
			}
		}}
		if c.user != nil {
			s.auth.user = c.user.Username()
			s.auth.password, _ = c.user.Password()
		}
		err := s.run(ctx, receiver{
			unit: func(u video.Unit) {
				if since.IsZero() {
					since = time.Now()
					c.log.Info("receiving", "codec", u.Params.Codec, "width", u.Params.Width, "height", u.Params.Height, "sound", s.sound != nil)
					var sound *aac.Config
					if s.heard != nil {
						sound = s.heard.config
					}
					c.handler.Began(sound)
				}
				c.arrived()
				c.handler.Unit(u)
			},
			sound: c.handler.Sound,
			stats: c.setStats,
		})
		if ctx.Err() != nil {
			return nil
		}
		silent = s.asked && since.IsZero() // what asking for sound may have broken is tried without
		if !since.IsZero() && time.Since(since) >= c.cfg.Healthy {
			pause.reset()
		}
		state, wait := Connecting, pause.next(rand.Float64())
		if errors.Is(err, ErrAuth) {
			state, wait = AuthFailed, c.cfg.AuthRetry
		}
		err = c.mask(err)
		c.ended(state)
		// Whoever handles the end tells people, once: each try need not.
		c.log.Debug("no video", "state", state, "err", err, "retry_in", wait.Round(time.Millisecond).String())
		c.handler.Ended(state, err, wait)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// maskedError keeps the error's chain and hides the password in its text.
type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }

// mask makes sure that no text of the camera or of a library repeats the password.
func (c *Client) mask(err error) error {
	password, _ := c.user.Password()
	if password == "" {
		return err
	}
	text := err.Error()
	for _, secret := range []string{password, url.QueryEscape(password), url.PathEscape(password)} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	if text == err.Error() {
		return err
	}
	return &maskedError{text, err}
}

// Status of a client.
type Status struct {
	State State
	// Stats of all connections together.
	Stats Stats
	// Connects is the number of connections that delivered.
	Connects int64
	// Last is when the last complete picture came; zero before the first.
	Last time.Time
}

// Status may be called from any goroutine.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Status{State: c.state, Stats: c.total.plus(c.now), Connects: c.connects, Last: c.last}
}

func (c *Client) arrived() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != Receiving {
		c.state = Receiving
		c.connects++
	}
	c.last = time.Now()
}

func (c *Client) setStats(s Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = s
}

func (c *Client) ended(state State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total, c.now, c.state = c.total.plus(c.now), Stats{}, state
}

func (s Stats) plus(o Stats) Stats {
	s.Units += o.Units
	s.Bytes += o.Bytes
	s.LostPackets += o.LostPackets
	s.DroppedUnits += o.DroppedUnits
	s.BadPackets += o.BadPackets
	s.ClockJumps += o.ClockJumps
	s.SoundFrames += o.SoundFrames
	s.LostSound += o.LostSound
	s.BadSound += o.BadSound
	s.SoundMoves += o.SoundMoves
	return s
}
