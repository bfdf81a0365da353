package controller

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Bounds of what is stored at once.
const (
	keepEvery = time.Minute
	keepChunk = 1000 // tasks in one transaction, so that other writes get their turn
)

// usageKeeper writes once a minute into the store what tasks took and what was learned from it. It belongs to the leader. What the store does not take is
// tried again a minute later; the memory reaches back an hour.
type usageKeeper struct {
	store   Store
	cluster *cluster
	history *usageHistory
	clock   Clock
	log     hclog.Logger

	// Below belongs to Run.
	until   int64     // ms since epoch: what was measured before is stored
	learned time.Time // what was learned before is stored
	failing bool
}

// Run writes until ctx ends, and then what is left.
func (k *usageKeeper) Run(ctx context.Context) error {
	minute := keepEvery.Milliseconds()
	now := k.clock.Now().UnixMilli()
	for k.until = now - now%minute; ; {
		now = k.clock.Now().UnixMilli()
		rest(ctx, time.Duration(minute-now%minute)*time.Millisecond)
		if ctx.Err() != nil {
			c, cancel := lasting(ctx)
			defer cancel()
			k.keep(c, k.clock.Now().UnixMilli()+1)
			k.keepProfiles(c)
			return nil
		}
		now = k.clock.Now().UnixMilli()
		k.keep(ctx, now-now%minute)
		k.keepProfiles(ctx)
	}
}

// keep stores what was measured up to a time (ms).
func (k *usageKeeper) keep(ctx context.Context, to int64) {
	now := k.clock.Now()
	k.history.sweep(now)
	k.until = max(k.until, now.Add(-historyWindow).UnixMilli())
	pieces, closed := k.history.pending(k.until, to, now)
	for len(pieces) > 0 {
		n := min(len(pieces), keepChunk)
		c, cancel := context.WithTimeout(ctx, storeTimeout)
		err := k.store.PutUsage(c, pieces[:n])
		cancel()
		if err != nil {
			if !k.failing && ctx.Err() == nil && !errors.Is(err, errNotLeader) {
				k.log.Warn("cannot store what tasks took: tried again each minute", "err", err)
			}
			k.failing = true
			return
		}
		pieces = pieces[n:]
	}
	k.failing = false
	k.until = max(k.until, to)
	k.history.forget(closed)
}

// keepProfiles stores what was learned since it was done last.
func (k *usageKeeper) keepProfiles(ctx context.Context) {
	now := k.clock.Now()
	profiles, err := k.cluster.profiles(k.learned)
	if err == nil && len(profiles) > 0 {
		c, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		err = k.store.SaveProfiles(c, profiles)
	}
	if err != nil {
		k.log.Debug("cannot store what was learned: tried again in a minute", "err", err)
		return
	}
	k.learned = now.Add(-time.Millisecond) // what was learned in this very moment may not be among them
}
