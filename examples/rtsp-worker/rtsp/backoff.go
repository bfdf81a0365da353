package rtsp

import "time"

// backoff computes the pauses between tries. It is a value: no clock, no randomness of its own.
type backoff struct {
	min, max time.Duration
	failures int
}

// next returns the pause after one more failure; r is a random number in [0, 1).
func (b *backoff) next(r float64) time.Duration {
	d := b.min
	for range b.failures {
		if d *= 2; d >= b.max {
			d = b.max
			break
		}
	}
	b.failures++
	return d/2 + time.Duration(r*float64(d)/2)
}

// reset forgets all failures: the camera delivered.
func (b *backoff) reset() { b.failures = 0 }
