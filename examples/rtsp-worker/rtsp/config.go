package rtsp

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Transport is the way that the video takes.
type Transport string

// The transports.
const (
	// TCP interleaves the video with RTSP in one connection.
	TCP Transport = "tcp"
	// UDP sends it to a pair of ports of ours.
	UDP Transport = "udp"
)

// Sound says what to do with a camera's sound.
type Sound string

// What to do with sound.
const (
	// SoundAuto takes it where it can be read, and never at the cost of the video.
	SoundAuto Sound = "auto"
	// SoundOff does not ask the camera for it.
	SoundOff Sound = "off"
)

// Config of a Client.
type Config struct {
	// URL of the stream: rtsp://user:password@host:554/path.
	URL string
	// Transport; default TCP.
	Transport Transport
	// Sound; default SoundAuto.
	Sound Sound
	// Watchdog is the longest time without a complete picture. Default 3 s.
	Watchdog time.Duration
	// FirstPicture is the time from PLAY to the first complete picture, if longer than Watchdog: some cameras show nothing before
	// their next key frame. Default 10 s.
	FirstPicture time.Duration
	// Handshake is the time for everything from dialling to PLAY. Default 3 s.
	Handshake time.Duration
	// BackoffMin and BackoffMax bound the pause between two tries; it doubles from try to try and is shortened by up to half at
	// random. Default 0.5 s and 15 s.
	BackoffMin, BackoffMax time.Duration
	// Healthy is how long a camera must deliver until former failures are forgotten. Default 5 s.
	Healthy time.Duration
	// AuthRetry is the pause after the camera refused user or password: fast tries can lock a camera. Default 60 s.
	AuthRetry time.Duration
	// ReportInterval is the pause between two RTCP receiver reports. Default 5 s.
	ReportInterval time.Duration
}

// DefaultConfig returns the defaults, without URL.
func DefaultConfig() Config {
	return Config{
		Transport: TCP, Sound: SoundAuto, Watchdog: 3 * time.Second, FirstPicture: 10 * time.Second, Handshake: 3 * time.Second,
		BackoffMin: 500 * time.Millisecond, BackoffMax: 15 * time.Second, Healthy: 5 * time.Second, AuthRetry: time.Minute, ReportInterval: 5 * time.Second,
	}
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Transport == "" {
		c.Transport = d.Transport
	}
	if c.Sound == "" {
		c.Sound = d.Sound
	}
	for _, p := range []struct{ have, def *time.Duration }{
		{&c.Watchdog, &d.Watchdog},
		{&c.FirstPicture, &d.FirstPicture},
		{&c.Handshake, &d.Handshake},
		{&c.Healthy, &d.Healthy},
		{&c.BackoffMin, &d.BackoffMin},
		{&c.BackoffMax, &d.BackoffMax},
		{&c.AuthRetry, &d.AuthRetry},
		{&c.ReportInterval, &d.ReportInterval},
	} {
		if *p.have == 0 {
			*p.have = *p.def
		}
	}
	return c
}

// Validate says everything that is wrong with c; zero values stand for the defaults.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	if _, err := parseURL(c.URL); err != nil {
		errs = append(errs, err)
	}
	if c.Transport != TCP && c.Transport != UDP {
		errs = append(errs, fmt.Errorf("transport %q is unknown: use tcp or udp", c.Transport))
	}
	if c.Sound != SoundAuto && c.Sound != SoundOff {
		errs = append(errs, fmt.Errorf("sound %q is unknown: use auto or off", c.Sound))
	}
	if c.Watchdog < 0 || c.FirstPicture < 0 || c.Healthy < 0 || c.Handshake < 0 || c.BackoffMin < 0 || c.BackoffMax < c.BackoffMin || c.AuthRetry < 0 || c.ReportInterval < 0 {
		errs = append(errs, errors.New("a duration is negative, or the largest back-off is below the smallest"))
	}
	return errors.Join(errs...)
}

// parseURL checks a camera's address. Its errors never contain the password.
func parseURL(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("url is missing: give rtsp://user:password@host:554/path")
	}
	u, err := url.Parse(raw)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // its text repeats the whole address
			err = ue.Err
		}
		if _, ok := errors.AsType[url.EscapeError](err); ok {
			err = errors.New("a % in it must be written as %25")
		} else {
			err = errors.New("user, password or host hold a character that must be percent-encoded, such as / ? # or a space, or the port is no number")
		}
		return nil, fmt.Errorf("url %s is not valid: %w", MaskURL(raw), err)
	}
	if u.Scheme != "rtsp" {
		return nil, fmt.Errorf("url %s: scheme %q is not supported: use rtsp://", MaskURL(raw), u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("url %s has no host", MaskURL(raw))
	}
	return u, nil
}
