package shim

import (
	"testing"
	"time"
)

// Every line is a life of a host: when it speaks, whether it is stopped, whether the shim looks; and when it is found silent.
func TestSilence(t *testing.T) {
	const never = time.Duration(-1)
	between := func(from, to time.Duration) func(time.Duration) bool {
		return func(at time.Duration) bool { return at >= from && at < to }
	}
	no := func(time.Duration) bool { return false }
	for name, tt := range map[string]struct {
		quiet, stopped, away func(at time.Duration) bool
		from, to             time.Duration // it is found silent then
	}{
		"speaks":                          {no, no, no, never, never},
		"starved for three seconds":       {between(2*time.Second, 5*time.Second), no, no, never, never},
		"starved for 4.4 seconds":         {between(2*time.Second, 6400*time.Millisecond), no, no, never, never},
		"dead silent":                     {between(2*time.Second, time.Hour), no, no, 6500 * time.Millisecond, 7500 * time.Millisecond},
		"stopped":                         {between(2*time.Second, time.Hour), between(2*time.Second, time.Hour), no, 2500 * time.Millisecond, 3600 * time.Millisecond},
		"stopped for 0.6 seconds":         {between(2*time.Second, 2600*time.Millisecond), between(2*time.Second, 2600*time.Millisecond), no, never, never},
		"stopped for one look":            {between(2*time.Second, 4*time.Second), between(3200*time.Millisecond, 3399*time.Millisecond), no, never, never},
		"the shim was away":               {between(2*time.Second, 9*time.Second), no, between(2*time.Second, 8*time.Second), never, never},
		"both were stopped":               {between(2*time.Second, 8300*time.Millisecond), between(2*time.Second, 8*time.Second), between(2*time.Second, 8*time.Second), never, never},
		"the shim was away, and it stays": {between(2*time.Second, time.Hour), no, between(2*time.Second, 8*time.Second), 13 * time.Second, 14 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var s silence
			begin := time.Unix(1_000_000, 0)
			found := never
			s.heard(begin)
			for at := time.Duration(0); at < 30*time.Second && found == never; at += 20 * time.Millisecond {
				if tt.away(at) {
					continue
				}
				if at%aliveEvery == 0 && !tt.quiet(at) {
					s.heard(begin.Add(at))
				}
				if s.look(begin.Add(at), func() bool { return tt.stopped(at) }) {
					found = at
				}
			}
			if found < tt.from || found > tt.to {
				t.Errorf("found silent at %s, want %s to %s", found, tt.from, tt.to)
			}
			if s.fallen != (tt.from != never) {
				t.Errorf("fallen: %v", s.fallen)
			}
		})
	}
}

func TestMergeEnv(t *testing.T) {
	for name, tt := range map[string]struct{ base, more, want []string }{
		"nothing":     {nil, nil, []string{}},
		"base":        {[]string{"a=1", "b=2"}, nil, []string{"a=1", "b=2"}},
		"wins":        {[]string{"a=1", "b=2"}, []string{"a=3"}, []string{"b=2", "a=3"}},
		"twice":       {[]string{"a=1", "a=2"}, []string{"a=3"}, []string{"a=3"}},
		"empty value": {[]string{"a=1"}, []string{"a="}, []string{"a="}},
		"more equals": {[]string{"a=1=2", "ab=1"}, []string{"a=b=c"}, []string{"ab=1", "a=b=c"}},
		"no equals":   {[]string{"a", "b=1"}, []string{"a=1"}, []string{"b=1", "a=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := MergeEnv(tt.base, tt.more)
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			}
		})
	}
}
