package controller

import (
	"context"

	"github.com/skalds-go/skalds"
)

// fencedStore is the store as the leader writes to it: nothing is written once the lease may be another's.
type fencedStore struct {
	Store
	decides func() bool
}

func (f fencedStore) fenced(do func() error) error {
	if !f.decides() {
		return errNotLeader
	}
	return do()
}

func (f fencedStore) Create(ctx context.Context, t *skalds.Task) (stored *skalds.Task, created bool, err error) {
	err = f.fenced(func() error {
		var err error
		stored, created, err = f.Store.Create(ctx, t)
		return err
	})
	return stored, created, err
}

func (f fencedStore) Save(ctx context.Context, t *skalds.Task) error {
	return f.fenced(func() error { return f.Store.Save(ctx, t) })
}

func (f fencedStore) PutOutcome(ctx context.Context, list ...skalds.Outcome) error {
	return f.fenced(func() error { return f.Store.PutOutcome(ctx, list...) })
}

func (f fencedStore) SaveNode(ctx context.Context, n skalds.Node) error {
	return f.fenced(func() error { return f.Store.SaveNode(ctx, n) })
}

func (f fencedStore) DeleteNode(ctx context.Context, id string, revision int64) error {
	return f.fenced(func() error { return f.Store.DeleteNode(ctx, id, revision) })
}

func (f fencedStore) SaveWorkers(ctx context.Context, nodeID string, workers []skalds.WorkerInfo) error {
	return f.fenced(func() error { return f.Store.SaveWorkers(ctx, nodeID, workers) })
}

func (f fencedStore) SaveOffset(ctx context.Context, stream, offset string) error {
	return f.fenced(func() error { return f.Store.SaveOffset(ctx, stream, offset) })
}

func (f fencedStore) PutUsage(ctx context.Context, pieces []TaskUsage) error {
	return f.fenced(func() error { return f.Store.PutUsage(ctx, pieces) })
}

func (f fencedStore) SaveProfiles(ctx context.Context, profiles []StoredProfile) error {
	return f.fenced(func() error { return f.Store.SaveProfiles(ctx, profiles) })
}

func (f fencedStore) Prune(ctx context.Context, before int64, keep int) (removed []string, err error) {
	err = f.fenced(func() error {
		var err error
		removed, err = f.Store.Prune(ctx, before, keep)
		return err
	})
	return removed, err
}
