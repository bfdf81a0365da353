package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
)

// Duration is a duration with its unit, "1m30s": that of the root's words.
type Duration = skalds.Duration

// Seconds is a duration for the original's settings, whose bare numbers are seconds: "3", "3s" and "500ms" are read.
type Seconds time.Duration

// D is the time.Duration.
func (s Seconds) D() time.Duration { return time.Duration(s) }

func (s Seconds) String() string { return time.Duration(s).String() }

// MarshalText writes "3s".
func (s Seconds) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads "3" or "3s".
func (s *Seconds) UnmarshalText(text []byte) error {
	d, err := parseWithUnit(string(text), time.Second, "3 (seconds) or 1m30s")
	*s = Seconds(d)
	return err
}

// Days is a duration whose bare numbers are days, as LOG_RETENTION: "3", "3 days", "1 week" and "36h" are read.
type Days time.Duration

// D is the time.Duration.
func (d Days) D() time.Duration { return time.Duration(d) }

const day = 24 * time.Hour

// String writes whole days as "3 days".
func (d Days) String() string {
	switch {
	case time.Duration(d) == day:
		return "1 day"
	case time.Duration(d)%day == 0:
		return strconv.FormatInt(int64(time.Duration(d)/day), 10) + " days"
	}
	return time.Duration(d).String()
}

// MarshalText writes "3 days".
func (d Days) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads "3", "3 days", "1 week" or "36h".
func (d *Days) UnmarshalText(text []byte) error {
	s := strings.ToLower(strings.TrimSpace(string(text)))
	unit := day
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"days", day}, {"day", day}, {"weeks", 7 * day}, {"week", 7 * day}, {"hours", time.Hour}, {"hour", time.Hour}, {"d", day}} {
		if n, ok := strings.CutSuffix(s, u.name); ok && decimal(strings.TrimSpace(n)) {
			s, unit = strings.TrimSpace(n), u.size
			break
		}
	}
	v, err := parseWithUnit(s, unit, "3 (days), 3 days or 36h")
	*d = Days(v)
	return err
}

// parseWithUnit reads a Go duration, or a bare number of units.
func parseWithUnit(s string, unit time.Duration, form string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	if decimal(s) {
		v, err := strconv.ParseFloat(s, 64)
		if err == nil && v*float64(unit) <= math.MaxInt64/2 {
			return time.Duration(math.Round(v * float64(unit))), nil
		}
		return 0, fmt.Errorf("duration %q is too long", s)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("duration %q is not of the form %s", s, form)
	}
	if d < 0 {
		return 0, fmt.Errorf("duration %q is negative", s)
	}
	return d, nil
}
