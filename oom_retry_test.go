package skalds

import (
	"math"
	"testing"
)

func TestNextMemoryLimit(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct {
		name       string
		o          OOMRetry
		had, first int64
		want       int64
	}{
		{"half as much again", OOMRetry{Factor: 1.5}, 128 * mib, 128 * mib, 192 * mib},
		{"an odd number is rounded up", OOMRetry{Factor: 1.5}, 3, 100, 5},
		{"factor 1 changes nothing", OOMRetry{Factor: 1}, 128 * mib, 128 * mib, 128 * mib},
		{"up to what is named", OOMRetry{Factor: 10, MaxMemoryBytes: 512 * mib}, 128 * mib, 128 * mib, 512 * mib},
		{"and no further", OOMRetry{Factor: 2, MaxMemoryBytes: 512 * mib}, 512 * mib, 128 * mib, 512 * mib},
		{"four times the first where nothing is named", OOMRetry{Factor: 3}, 384 * mib, 128 * mib, 512 * mib},
		{"never down", OOMRetry{Factor: 2, MaxMemoryBytes: 64 * mib}, 128 * mib, 128 * mib, 128 * mib},
		{"no limit stays none", OOMRetry{Factor: 2, MaxMemoryBytes: 512 * mib}, 0, 0, 0},
		{"huge", OOMRetry{Factor: 100}, math.MaxInt64 - 1, math.MaxInt64 - 1, math.MaxInt64},
	} {
		if got := tc.o.Next(tc.had, tc.first); got != tc.want {
			t.Errorf("%s: got %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestDefaultsOfOOMRetry(t *testing.T) {
	if r := RetryFor(Retry{}, true, -1); r.OOM != nil {
		t.Errorf("not asked for: %+v", r.OOM)
	}
	asked := Retry{OOM: &OOMRetry{}}
	if r := RetryFor(asked, false, -1); *r.OOM != (OOMRetry{MaxAttempts: 3, Factor: 1.5}) || *asked.OOM != (OOMRetry{}) {
		t.Errorf("got %+v of %+v", r.OOM, asked.OOM)
	}
	for _, tc := range []struct {
		retry      Retry
		persistent bool
		want       int
	}{
		{Retry{}, true, Unlimited},
		{Retry{MaxAttempts: Unlimited}, true, Unlimited},
		{Retry{MaxAttempts: Unlimited}, false, 3},
		{Retry{MaxAttempts: 5}, true, 3}, // it is mortal by its own word
		{Retry{OOM: &OOMRetry{MaxAttempts: 2}}, true, 2},
	} {
		if tc.retry.OOM == nil {
			tc.retry.OOM = &OOMRetry{}
		}
		once := RetryFor(tc.retry, tc.persistent, 4)
		if twice := RetryFor(once, tc.persistent, 4); once.OOM.MaxAttempts != tc.want || *twice.OOM != *once.OOM {
			t.Errorf("%+v, persistent %v: %+v, then %+v", tc.retry, tc.persistent, once.OOM, twice.OOM)
		}
	}
	said := OOMRetry{MaxAttempts: Unlimited, Factor: 1, MaxMemoryBytes: 7}
	if r := RetryFor(Retry{OOM: &said}, false, -1); *r.OOM != said {
		t.Errorf("got %+v", r.OOM)
	}
	task := Task{Spec: Spec{Retry: Retry{OOM: &said}}}
	if c := task.Clone(); c.Retry.OOM == task.Retry.OOM || *c.Retry.OOM != said {
		t.Errorf("the clone has %p %+v of %p", c.Retry.OOM, c.Retry.OOM, task.Retry.OOM)
	}
	low := Spec{ID: "a", ClassName: "C", Limits: Limits{MemoryBytes: 8}, Retry: Retry{OOM: &said}}
	if low.Validate() == nil {
		t.Error("a cap below the limit is accepted")
	}
	if nan := (Retry{OOM: &OOMRetry{Factor: math.NaN()}}); nan.Validate() == nil {
		t.Error("a factor that is no number is accepted")
	}
}

func TestWhatEndsForMemory(t *testing.T) {
	for _, tc := range []struct {
		exit Exit
		want bool
	}{
		{Exit{Kind: ExitOOM}, true},
		{Exit{Kind: ExitLimit, Limit: LimitMemory}, true},
		{Exit{Kind: ExitLimit, Limit: LimitPIDs}, false},
		{Exit{Kind: ExitLimit}, false},
		{Exit{Kind: ExitSignal}, false},
	} {
		if got := tc.exit.ForMemory(); got != tc.want {
			t.Errorf("%+v: %v", tc.exit, got)
		}
	}
}
