package backup

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

const (
	// writers is how many records are stored side by side: many durable writes share one synchronisation of the disk.
	writers = 64
	// generationMargin is more than the store that was lost may have raised its generation, or the epoch of a task, since the backup was
	// made.
	generationMargin = 1000
)

// Empty reports whether a store holds nothing that a restore would mix with.
func Empty(ctx context.Context, s controller.Store) (bool, error) {
	counts, err := s.CountByState(ctx, "")
	if err != nil || len(counts) > 0 {
		return false, err
	}
	nodes, err := s.Nodes(ctx)
	if err != nil || len(nodes) > 0 {
		return false, err
	}
	audits, err := s.Audits(ctx, "", 1)
	return len(audits) == 0, err
}

// Restore puts a backup into an empty store and makes its generation higher than that of the store that was backed up, and than what it
// was: what hosts and the bus know of later times counts as older. Where it fails the store holds a part of the backup. Verify first.
func Restore(ctx context.Context, r io.Reader, s controller.RestoreStore) (Header, Counts, error) {
	p := newPool(ctx, s)
	h, counts, err := read(r, p.put)
	if failed := p.wait(); err == nil {
		err = failed
	}
	if err != nil {
		return h, nil, err
	}
	if h.Generation, err = s.RaiseGeneration(ctx, h.Generation+generationMargin); err != nil {
		return h, nil, err
	}
	return h, counts, nil
}

// pool stores records side by side, but for those whose order counts.
type pool struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	store  controller.RestoreStore
	work   chan *record
	wg     sync.WaitGroup
}

func newPool(ctx context.Context, s controller.RestoreStore) *pool {
	p := &pool{store: s, work: make(chan *record, writers)}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	for range writers {
		p.wg.Go(func() {
			for r := range p.work {
				if p.ctx.Err() != nil {
					continue
				}
				if err := p.store1(r); err != nil {
					p.cancel(err)
				}
			}
		})
	}
	return p
}

func (p *pool) put(r *record) error {
	if r.Audit != nil { // the oldest first
		return p.store.Audit(p.ctx, *r.Audit)
	}
	select {
	case p.work <- r:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

// wait returns when everything is stored, or why it is not.
func (p *pool) wait() error {
	close(p.work)
	p.wg.Wait()
	err := context.Cause(p.ctx)
	p.cancel(nil)
	return err
}

func (p *pool) store1(r *record) error {
	switch {
	case r.Task != nil:
		if r.Task.Mode != skalds.ModeActive && (r.Task.Executor == "" || !r.Task.LifecycleStatus.OnNode()) {
			r.Task.Epoch += generationMargin // hosts know of later ones; those of one that still runs are told by its node
		}
		stored, created, err := p.store.Create(p.ctx, r.Task)
		if err == nil && !created {
			err = skalds.Errorf(skalds.CodeInvalid, "tasks %q and %q have the same idempotency key", stored.ID, r.Task.ID)
		}
		return err
	case r.Outcome != nil:
		return p.store.PutOutcome(p.ctx, *r.Outcome)
	case r.Node != nil:
		n := *r.Node
		n.Revision = 0 // none is stored
		return p.store.SaveNode(p.ctx, n)
	case r.Workers != nil:
		return p.store.SaveWorkers(p.ctx, r.Workers.NodeID, r.Workers.Workers)
	case r.Usage != nil:
		return p.store.PutUsage(p.ctx, []controller.TaskUsage{{TaskID: r.Usage.TaskID, Samples: r.Usage.Samples}})
	case r.Learned != nil:
		l := r.Learned
		return p.store.SaveProfiles(p.ctx, []controller.StoredProfile{{ClassName: l.ClassName, Worker: l.Worker, UpdatedAt: l.UpdatedAt, Doc: l.Doc}})
	}
	return fmt.Errorf("store a record of no kind")
}
