package controller

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the announcing.
const (
	announceEvery = 3 * time.Second
	announceTTL   = 10 * time.Second
)

// Announce returns a service that tells hosts and other controllers where this one is, and its version and mode, until its ctx ends. It is
// to be called before Run: Health looks there where the leader is.
func (c *Controller) Announce(to ControllerRegistry, version, mode string) func(ctx context.Context) error {
	c.health.others, c.health.own.Version = to, version
	a := &announcer{to: to, log: c.log.Named("announcer"), info: func() skalds.ControllerInfo {
		return skalds.ControllerInfo{
			ID: c.cfg.ID, URL: c.cfg.ServerURL, Version: version, Mode: mode, Leader: c.leadership.decides(), LeaseMillis: c.cfg.Lease.Milliseconds(),
			At: c.clock.Now().UnixMilli(),
		}
	}}
	return a.Run
}

// Roster returns what lists the controllers that are announced, by id. Which of them leads is as this one knows it: the announcements
// say so up to three seconds later.
func (c *Controller) Roster(in ControllerRegistry) func(ctx context.Context) ([]skalds.ControllerInfo, error) {
	return func(ctx context.Context) ([]skalds.ControllerInfo, error) {
		list, err := in.Controllers(ctx)
		if err != nil {
			return nil, err
		}
		if leader := c.Leader(); leader != "" {
			for i := range list {
				list[i].Leader = list[i].ID == leader
			}
		}
		return list, nil
	}
}

// announcer keeps the entry of a controller in the registry.
type announcer struct {
	to   ControllerRegistry
	info func() skalds.ControllerInfo
	log  hclog.Logger
	odd  map[string]int64 // leases of others that were complained about, by controller
}

// Run announces until ctx ends, and takes the entry back.
func (a *announcer) Run(ctx context.Context) error {
	failing := false
	for ctx.Err() == nil {
		c, cancel := context.WithTimeout(ctx, announceEvery)
		err := a.to.Announce(c, a.info(), announceTTL)
		cancel()
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			failing = true
			a.log.Warn("cannot announce where this controller is: hosts do not find it", "err", err)
		case err == nil && failing:
			failing = false
			a.log.Info("this controller is announced again")
		}
		a.compare(ctx)
		rest(ctx, announceEvery)
	}
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaderTimeout)
	defer cancel()
	if err := a.to.Withdraw(c, a.info().ID); err != nil {
		a.log.Debug("cannot take back the word where this controller is: it ends by itself", "err", err)
	}
	return nil
}

// compare complains once about each controller that takes the lease of nodes for another length: the one of the two would hand out tasks
// that still run.
func (a *announcer) compare(ctx context.Context) {
	c, cancel := context.WithTimeout(ctx, announceEvery)
	defer cancel()
	all, err := a.to.Controllers(c)
	if err != nil {
		return // that it cannot be reached is said above
	}
	own, odd := a.info(), map[string]int64{}
	for _, other := range all {
		if other.ID == own.ID || other.LeaseMillis == 0 || other.LeaseMillis == own.LeaseMillis {
			continue
		}
		odd[other.ID] = other.LeaseMillis
		if a.odd[other.ID] != other.LeaseMillis {
			a.log.Warn("controllers disagree about the lease of nodes: set SKALDS_LEASE to the same on all controllers and hosts",
				"here", time.Duration(own.LeaseMillis)*time.Millisecond, "controller", other.ID, "there", time.Duration(other.LeaseMillis)*time.Millisecond)
		}
	}
	a.odd = odd
}
