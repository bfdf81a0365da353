package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of the picture.
const (
	loadPage      = 1000            // tasks that are read at once
	followersLook = 2 * time.Second // how old a follower's picture of what runs where may be
	workersLook   = time.Minute     // how old its picture of plugins may be where no record of a node says that they have changed
)

// picture brings the cluster in memory in line with the store: when a controller starts, when it begins to lead, and where it
// does not lead and somebody asks.
type picture struct {
	store      Store
	cluster    *cluster
	clock      Clock
	log        hclog.Logger
	generation atomic.Int64
	unclear    *unclear
	workersAt  time.Duration // of clock.Elapsed: when all plugins were read; whoever reads all nodes has it

	mu    sync.Mutex    // guards tried, and is held while the store is read
	tried time.Duration // of clock.Elapsed: when the store was asked last; 0: never
}

// load reads the store, waiting for it where it is away. It returns an error where waiting does not help.
func (p *picture) load(ctx context.Context) error {
	for try := 0; ; try++ {
		err := p.once(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if skalds.CodeOf(err) != skalds.CodeInternal && skalds.CodeOf(err) != skalds.CodeUnavailable {
			return err
		}
		if try == 0 {
			p.log.Error("cannot read the store: tried again until it works", "err", err)
		}
		rest(ctx, min(100*time.Millisecond<<min(try, 4), time.Second))
	}
}

// noOlder reads the store if that was not tried for a while and nobody is at it.
func (p *picture) noOlder(ctx context.Context, age time.Duration) {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	if p.tried > 0 && p.clock.Elapsed()-p.tried < age {
		return
	}
	if err := p.readAll(ctx, false); err != nil && ctx.Err() == nil {
		p.log.Debug("cannot read what runs where: the picture is older than it should be", "err", err)
	}
}

func (p *picture) once(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readAll(ctx, true)
}

// readAll brings everything in line. whole is as for nodes. The mutex is held.
func (p *picture) readAll(ctx context.Context, whole bool) error {
	defer func() { p.tried = max(p.clock.Elapsed(), 1) }()
	if err := p.nodes(ctx, whole); err != nil {
		return err
	}
	now := p.clock.Now()
	if err := p.profiles(ctx); err != nil {
		return err
	}
	old := p.cluster.allEntries() // of before the reading: what is not among the tasks is not on a node any more
	f := TaskFilter{States: []skalds.State{skalds.Assigning, skalds.Running, skalds.Paused}, Limit: loadPage}
	for {
		page, err := p.store.Tasks(ctx, f)
		if err != nil {
			return fmt.Errorf("read tasks: %w", err)
		}
		for _, t := range page.Items {
			if t.Executor != "" {
				p.cluster.expect(t.Executor, now)
				p.cluster.hold(t, now)
				delete(old, t.ID)
			}
		}
		if page.Next == "" {
			break
		}
		f.Cursor = page.Next
	}
	p.cluster.releaseEntries(old)
	return nil
}

// nodes reads the nodes alone, and the plugins where they may have changed. With whole they are read in any case.
func (p *picture) nodes(ctx context.Context, whole bool) error {
	return inTurn(ctx, p.cluster.reading, func() error { return p.readNodes(ctx, whole) })
}

// saveNode stores the record of a node changed, and brings the change into the picture. Where another controller was faster, the
// record is read and changed anew. It reports whether the node may get tasks now that it might not get before. change may be
// called several times.
func (p *picture) saveNode(ctx context.Context, store NodeStore, id string, change func(*skalds.Node)) (freed bool, err error) {
	err = p.cluster.storing(ctx, id, func() error {
		for range saveTries {
			n := p.cluster.nodeRecord(id)
			change(&n)
			c, cancel := lasting(ctx)
			err := store.SaveNode(c, n)
			cancel()
			p.unclear.wroteNode(err)
			switch {
			case errors.Is(err, skalds.ErrRevision):
				if err := p.nodes(ctx, false); err != nil {
					return err
				}
				continue
			case err != nil:
				return err
			}
			n.Revision++
			freed = p.cluster.stored(n)
			return nil
		}
		return skalds.Errorf(skalds.CodeUnavailable, "node %s is being changed by others all the time: try again", id)
	})
	return freed, err
}

func (p *picture) readNodes(ctx context.Context, whole bool) error {
	before := p.cluster.revisions()
	generation, err := p.store.Generation(ctx)
	if err != nil {
		return fmt.Errorf("read generation: %w", err)
	}
	nodes, err := p.store.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("read nodes: %w", err)
	}
	var found *offers
	if asked := p.clock.Elapsed(); whole || p.wantsWorkers(nodes, asked) {
		workers, err := p.store.Workers(ctx)
		if err != nil {
			return fmt.Errorf("read workers: %w", err)
		}
		found = newOffers(workers, p.cluster.offered())
		p.workersAt = asked
	}
	p.generation.Store(generation)
	for _, n := range p.cluster.load(nodes, found, before, p.clock.Now()) {
		p.log.Warn("node was declared lost at another controller", "node_id", n.ID, "who", n.LostBy)
	}
	return nil
}

// wantsWorkers reports whether all plugins are to be read. Who leads knows what is stored of them, because nobody else stores any; for the
// others the records of the nodes say that they have changed, but for a plugin of which more is told since its host was upgraded.
func (p *picture) wantsWorkers(nodes []skalds.Node, now time.Duration) bool {
	return !p.cluster.isLeading() && (now-p.workersAt >= workersLook || p.cluster.missesWorkers(nodes))
}
