package controllertest

import (
	"context"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

func (s *Store) Leader(ctx context.Context) (controller.LeaderLease, error) {
	leave, err := s.enter(ctx, "leader")
	if err != nil {
		return controller.LeaderLease{}, err
	}
	defer leave()
	return s.leader, nil
}

func (s *Store) SaveLeader(ctx context.Context, prev, next controller.LeaderLease) error {
	leave, err := s.enter(ctx, "saveLeader")
	if err != nil {
		return err
	}
	defer leave()
	if s.leader.Term != prev.Term || s.leader.Renewal != prev.Renewal {
		return skalds.ErrRevision
	}
	s.leader = next
	return nil
}
