package plugins

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(3)
		var held []func()
		take := func(plugin string) (waited time.Duration, ok bool) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			began := time.Now()
			release, err := s.acquire(ctx, plugin)
			if err == nil {
				held = append(held, release)
			}
			return time.Since(began), err == nil
		}
		for _, tc := range []struct {
			plugin string
			waits  time.Duration
		}{
			{"hangs", 0},
			{"hangs", 0},
			{"good", 0}, // the last slot is out of reach for the other
			{"hangs", slotHeld},
			{"hangs", 0},
			{"good", 0},
		} {
			if waited, ok := take(tc.plugin); !ok || waited != tc.waits {
				t.Errorf("%s waited %s, %v, want %s", tc.plugin, waited, ok, tc.waits)
			}
		}
		for _, release := range held { // those of the first second are given back already
			release()
			release()
		}
		for range 2 {
			if waited, ok := take("hangs"); !ok || waited != 0 {
				t.Errorf("after all were given back: %s, %v", waited, ok)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.acquire(ctx, "hangs"); err == nil {
			t.Error("a slot for a cancelled launch")
		}
		time.Sleep(slotHeld) // fake
		synctest.Wait()
		if len(s.byPlugin) > 0 {
			t.Errorf("left: %v", s.byPlugin)
		}
	})
}
