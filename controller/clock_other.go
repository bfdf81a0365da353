//go:build !linux

package controller

import "time"

var began = time.Now()

// Elapsed is the time since this program was started.
func (BootClock) Elapsed() time.Duration { return time.Since(began) }
