package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// Learned is what tasks of a class in one version were measured to take.
type Learned = dispatch.Learned

// profileRetention is how long it is kept what was learned about a version that nobody runs any more.
const profileRetention = 90 * 24 * time.Hour

// ended learns from the report of an attempt.
func (c *cluster) ended(className string, a *skalds.Attempt, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Ended(className, a, now)
}

// learned is what is known of each plugin by measurement.
func (c *cluster) learned(list []WorkerOnNodes, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list {
		list[i].Learned = c.ledger.Learned(list[i].Ref(), now)
	}
}

// profiles is what was learned after a time, to be stored.
func (c *cluster) profiles(after time.Time) ([]StoredProfile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	docs, err := c.ledger.Export(after)
	out := make([]StoredProfile, len(docs))
	for i, d := range docs {
		out[i] = StoredProfile{d.ClassName, d.Worker, d.UpdatedAt.UnixMilli(), d.Doc}
	}
	return out, err
}

// profiles takes in what was learned before. One that cannot be read is learned anew.
func (p *picture) profiles(ctx context.Context) error {
	stored, err := p.store.Profiles(ctx)
	if err != nil {
		return fmt.Errorf("read profiles: %w", err)
	}
	p.cluster.mu.Lock()
	defer p.cluster.mu.Unlock()
	for _, s := range stored {
		doc := dispatch.ProfileDoc{ClassName: s.ClassName, Worker: s.Worker, UpdatedAt: time.UnixMilli(s.UpdatedAt), Doc: s.Doc}
		if err := p.cluster.ledger.Import(doc); err != nil {
			p.log.Warn("a stored profile is not used", "err", err)
		}
	}
	return nil
}
