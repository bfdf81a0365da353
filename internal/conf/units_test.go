package conf_test

import (
	"encoding"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/conf"
)

func TestByteSize(t *testing.T) {
	for text, want := range map[string]conf.ByteSize{
		"0": 0, "1024": 1024, "128MiB": 128 << 20, "1.5 GiB": 3 << 29, "1.5GB": 1.5e9, "10kB": 10_000, "10KB": 10_000, "7B": 7, "0.5KiB": 512,
	} {
		var b conf.ByteSize
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s: %d %v", text, b, err)
		}
	}
	for _, text := range []string{"", "MiB", "128M", "128m", "-1", "1e9", "1/2KiB", "0.3B", "99999999TiB", "1 2", "１"} {
		var b conf.ByteSize
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %s", text, b)
		}
	}
}

func TestCPU(t *testing.T) {
	for text, want := range map[string]conf.CPU{"1": 1, "0.25": 0.25, "500m": 0.5, "1500m": 1.5, "0": 0} {
		var c conf.CPU
		if err := c.UnmarshalText([]byte(text)); err != nil || c != want {
			t.Errorf("%s: %v %v", text, c, err)
		}
	}
	for _, text := range []string{"", "m", "-1", "NaN", "1e3", "100%", "100000"} {
		var c conf.CPU
		if err := c.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %s", text, c)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"3": 3 * time.Second, "0.5": time.Second / 2, "3s": 3 * time.Second, "1m30s": 90 * time.Second, "0": 0} {
		var s conf.Seconds
		if err := s.UnmarshalText([]byte(text)); err != nil || s.D() != want {
			t.Errorf("%s: %v %v", text, s, err)
		}
	}
	for text, want := range map[string]time.Duration{
		"3": 72 * time.Hour, "3 days": 72 * time.Hour, "1 day": 24 * time.Hour, "2 weeks": 14 * 24 * time.Hour, "36h": 36 * time.Hour, "12 hours": 12 * time.Hour, "7d": 7 * 24 * time.Hour,
	} {
		var d conf.Days
		if err := d.UnmarshalText([]byte(text)); err != nil || d.D() != want {
			t.Errorf("%s: %v %v", text, d, err)
		}
	}
	for _, text := range []string{"", "-3", "three days", "3 months", "99999999999999999999"} {
		var d conf.Days
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %s", text, d)
		}
	}
}

// roundTrip reads text, and reads what it writes again.
func roundTrip[T any, P interface {
	*T
	encoding.TextUnmarshaler
	encoding.TextMarshaler
}](t *testing.T, text string, equal func(a, b T) bool,
) {
	t.Helper()
	var a, b T
	if P(&a).UnmarshalText([]byte(text)) != nil {
		return
	}
	out, err := P(&a).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := P(&b).UnmarshalText(out); err != nil || !equal(a, b) {
		t.Errorf("%q was read as %v, written as %q, and then read as %v: %v", text, a, out, b, err)
	}
}

func same[T comparable](a, b T) bool { return a == b }

func FuzzByteSize(f *testing.F) {
	for _, s := range []string{"128MiB", "1.5GB", "0", "8191PiB", "1.0000000000000000000001KiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { roundTrip[conf.ByteSize](t, s, same) })
}

func FuzzCPU(f *testing.F) {
	for _, s := range []string{"1.5", "500m", "0.0000001", "1m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { roundTrip[conf.CPU](t, s, same) })
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"1m30s", "0", "3 days", "3", "0.1", "2562047h47m16.854775807s", "1.5 weeks"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		roundTrip[conf.Duration](t, s, same)
		roundTrip[conf.Seconds](t, s, same)
		roundTrip[conf.Days](t, s, same)
	})
}
