package rtsptest

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Inject lets f happen now (After is ignored). It returns when the fault has begun.
func (c *Camera) Inject(f Fault) error {
	if err := f.Validate(); err != nil {
		return fmt.Errorf("inject fault: %w", err)
	}
	c.begin(f)
	return nil
}

// SetFaults ends all faults and plans others in their place; their After counts from now.
func (c *Camera) SetFaults(faults []Fault) error {
	for _, f := range faults {
		if err := f.Validate(); err != nil {
			return fmt.Errorf("set faults: %w", err)
		}
	}
	select {
	case <-c.planned: // replaced before anybody looked
	default:
	}
	select {
	case c.planned <- faults:
	default:
	}
	return nil
}

// plan lets the planned faults happen until ctx ends.
func (c *Camera) plan(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	faults := c.cfg.Faults
	for {
		planned, cancel := context.WithCancel(ctx)
		for _, f := range faults {
			wg.Go(func() { c.happen(planned, f) })
		}
		select {
		case <-ctx.Done():
			cancel()
			return
		case faults = <-c.planned:
			cancel()
			wg.Wait()
			c.Heal()
		}
	}
}

func (c *Camera) happen(ctx context.Context, f Fault) {
	for next := f.After; sleep(ctx, next) && ctx.Err() == nil; next = f.Every {
		c.begin(f)
		if f.Every == 0 {
			return
		}
	}
}

func (c *Camera) begin(f Fault) {
	c.log.Info("fault begins", "kind", f.Kind, "duration", f.Duration)
	end := time.Now().Add(f.Duration)
	if f.Duration == 0 {
		end = time.Now().AddDate(10, 0, 0)
	}
	switch f.Kind {
	case FaultReset, FaultClose:
		c.drop(f.Kind == FaultReset)
		return
	case FaultGarbage, FaultClockJump:
		c.mu.Lock()
		defer c.mu.Unlock()
		if f.Kind == FaultGarbage {
			c.garbage++
		} else {
			c.jumps++
		}
		return
	}
	c.mu.Lock()
	c.until[f.Kind], c.rates[f.Kind] = end, f.rate()
	if f.Kind == FaultSlow {
		c.delay = f.delay()
	}
	close(c.changed)
	c.changed = make(chan struct{})
	l := c.listener
	if f.Kind == FaultRefuse {
		c.listener = nil
	}
	c.mu.Unlock()
	if f.Kind == FaultRefuse && l != nil {
		_ = l.Close()
		c.drop(true)
	}
}

// Heal ends all lasting faults.
func (c *Camera) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.until)
	close(c.changed)
	c.changed = make(chan struct{})
}

// holds says whether a lasting fault is on.
func (c *Camera) holds(kind string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.until[kind])
}

// hits says whether a fault with a rate strikes this packet.
func (c *Camera) hits(kind string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.until[kind]) && c.rng.Float64() < c.rates[kind]
}

// slowness is how long an answer is held back.
func (c *Camera) slowness() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until[FaultSlow]) {
		return c.delay
	}
	return 0
}

func (c *Camera) random(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.IntN(n)
}

// waitWhile blocks while a lasting fault is on; false when ctx ended first.
func (c *Camera) waitWhile(ctx context.Context, kind string) bool {
	for {
		c.mu.Lock()
		left, changed := time.Until(c.until[kind]), c.changed
		c.mu.Unlock()
		if left <= 0 {
			return ctx.Err() == nil
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-changed:
		case <-ctx.Done():
			t.Stop()
			return false
		}
		t.Stop()
	}
}
