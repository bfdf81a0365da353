package controller

import (
	"context"
	"math"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Bounds of pruning.
const (
	pruneFirst   = time.Minute
	pruneEvery   = time.Hour
	pruneTimeout = 5 * time.Minute
)

// pruning removes what ended long ago.
type pruning struct {
	cfg     Config
	store   Store
	beats   HeartbeatStore
	cluster *cluster
	clock   Clock
	log     hclog.Logger
}

// Run prunes until ctx ends.
func (p *pruning) Run(ctx context.Context) error {
	for wait := pruneFirst; ; wait = pruneEvery {
		rest(ctx, wait)
		if ctx.Err() != nil {
			return nil
		}
		p.once(ctx)
	}
}

func (p *pruning) once(ctx context.Context) {
	now := p.clock.Now()
	p.usage(ctx, now)
	p.nodes(ctx, now)
	var before int64
	keep := math.MaxInt32
	if p.cfg.Retention > 0 {
		before = now.Add(-p.cfg.Retention).UnixMilli()
	}
	if p.cfg.RetentionTasks > 0 {
		keep = p.cfg.RetentionTasks
	}
	if before == 0 && keep == math.MaxInt32 {
		return
	}
	c, cancel := context.WithTimeout(ctx, pruneTimeout)
	defer cancel()
	removed, err := p.store.Prune(c, before, keep)
	if err != nil {
		p.log.Warn("cannot remove old tasks", "err", err)
		return
	}
	if len(removed) > 0 {
		p.log.Info("old tasks removed", "tasks", len(removed))
	}
}

// usage removes samples that are too old even for tasks that go on, and what was learned long ago.
func (p *pruning) usage(ctx context.Context, now time.Time) {
	c, cancel := context.WithTimeout(ctx, pruneTimeout)
	defer cancel()
	if err := p.store.PruneProfiles(c, now.Add(-profileRetention).UnixMilli()); err != nil {
		p.log.Warn("cannot remove old profiles", "err", err)
	}
	if p.cfg.UsageRetention == 0 {
		return
	}
	if err := p.store.PruneUsage(c, now.Add(-p.cfg.UsageRetention).UnixMilli()); err != nil {
		p.log.Warn("cannot remove old usage", "err", err)
	}
}
