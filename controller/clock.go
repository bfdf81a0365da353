package controller

import "time"

// Clock tells the time; a fake one drives the tests of the pure parts.
type Clock interface {
	Now() time.Time
	// Elapsed is the time since some fixed moment, never negative. It neither jumps nor stands still while this program, or the whole
	// machine, does.
	Elapsed() time.Duration
}

// wallClock is that of package time. Its Elapsed stands still while the machine sleeps.
type wallClock struct{ began time.Time }

func (wallClock) Now() time.Time           { return time.Now() }
func (c wallClock) Elapsed() time.Duration { return time.Since(c.began) }

// BootClock is the clock of the machine, whose Elapsed goes on while it sleeps (CLOCK_BOOTTIME; elsewhere than on Linux it does
// not).
type BootClock struct{}

// Now is the time of day.
func (BootClock) Now() time.Time { return time.Now() }
