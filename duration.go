package skalds

import (
	"fmt"
	"strconv"
	"time"
)

// Duration is a time.Duration whose text is that of Go ("1m30s"), in JSON, YAML, environment and flags alike. A bare
// number is refused everywhere but zero, because nobody can know its unit.
type Duration time.Duration

// D is the time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes "1m30s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads "1m30s", "500ms" or "0".
func (d *Duration) UnmarshalText(b []byte) error {
	s := string(b)
	v, err := time.ParseDuration(s)
	if err != nil {
		if _, numErr := strconv.ParseFloat(s, 64); numErr == nil {
			return fmt.Errorf("duration %q has no unit: write %ss, %sms or the like", s, s, s)
		}
		return fmt.Errorf("duration %q is not of the form 1m30s: %w", s, err)
	}
	*d = Duration(v)
	return nil
}
