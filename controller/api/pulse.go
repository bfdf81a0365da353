package api

import (
	"context"
	"sync"
	"time"

	"github.com/skalds-go/skalds/controller"
)

// pulse lets all event streams share one look at the nodes per period.
type pulse struct {
	nodes NodeService
	every time.Duration
	now   func() time.Time

	mu   sync.Mutex // guards the fields below, and lets one caller read
	at   time.Time
	last []controller.NodeView
}

func (p *pulse) view(ctx context.Context) ([]controller.NodeView, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.last != nil && now.Sub(p.at) < p.every {
		return p.last, nil
	}
	views, err := p.nodes.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	if views == nil {
		views = []controller.NodeView{}
	}
	p.at, p.last = now, views
	return views, nil
}
