package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// NodeService is what users can see of nodes and do with them.
type NodeService struct {
	store   Store
	cluster *cluster
	tasks   *TaskService
	log     hclog.Logger
}

// Nodes lists all nodes that are known, by id.
func (s *NodeService) Nodes(ctx context.Context) ([]NodeView, error) {
	placed, err := s.store.Placed(ctx)
	if err != nil {
		return nil, err
	}
	views := s.cluster.views()
	for i := range views {
		v := &views[i]
		v.Tasks = placed[v.ID]
		if !v.Draining {
			continue
		}
		tasks, err := s.store.OnNode(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		v.Drain, _ = drainCounts(tasks)
	}
	return views, nil
}

// Node reads one node.
func (s *NodeService) Node(ctx context.Context, id string) (NodeView, error) {
	v, _, err := s.withTasks(ctx, id)
	return v, err
}

func (s *NodeService) withTasks(ctx context.Context, id string) (v NodeView, tasks []*skalds.Task, err error) {
	v, ok := s.cluster.view(id)
	if !ok {
		return v, nil, unknownNode(id)
	}
	if tasks, err = s.store.OnNode(ctx, id); err != nil {
		return v, nil, err
	}
	for _, t := range tasks {
		v.Tasks = append(v.Tasks, PlacedTask{t.ID, t.LifecycleStatus})
	}
	if v.Draining {
		v.Drain, _ = drainCounts(tasks)
	}
	return v, tasks, nil
}

// TasksOnNode lists the tasks that belong to a node, oldest first.
func (s *NodeService) TasksOnNode(ctx context.Context, id string) ([]*skalds.Task, error) {
	if _, ok := s.cluster.view(id); !ok {
		return nil, unknownNode(id)
	}
	return s.store.OnNode(ctx, id)
}

// Cordon keeps new tasks away from a node, or lets them come again.
func (s *NodeService) Cordon(ctx context.Context, id string, cordoned bool, who string) (NodeView, error) {
	action := map[bool]string{true: "cordon", false: "uncordon"}[cordoned]
	if err := s.amend(ctx, id, &AuditEntry{Who: who, Action: action}, func(n *skalds.Node) { n.Cordoned = cordoned }); err != nil {
		return NodeView{}, err
	}
	return s.Node(ctx, id)
}

func unknownNode(id string) error {
	return skalds.Errorf(skalds.CodeNotFound, "there is no node %q", id)
}

// amend changes the record of a node on a user's word. change may be called several times, and may fill in the entry.
func (s *NodeService) amend(ctx context.Context, id string, entry *AuditEntry, change func(*skalds.Node)) error {
	if _, ok := s.cluster.view(id); !ok {
		return unknownNode(id)
	}
	freed, err := s.tasks.picture.saveNode(ctx, s.store, id, change)
	entry.NodeID = id
	if err != nil {
		s.tasks.auditUnclear(ctx, *entry, err)
		return err
	}
	s.tasks.audit(ctx, *entry)
	s.log.Info("node changed", "node_id", id, "action", entry.Action, "who", entry.Who)
	status := skalds.NodeOffline
	if v, ok := s.cluster.view(id); ok && v.Online {
		status = skalds.NodeOnline
	}
	s.tasks.publishNode(id, status)
	if freed {
		s.tasks.dispatcher.freed()
	}
	return nil
}

// Workers lists the plugins that were ever seen and the nodes that have them: exactly those by which tasks are accepted.
func (s *NodeService) Workers(context.Context) ([]WorkerOnNodes, error) {
	list := s.cluster.plugins()
	s.cluster.learned(list, s.tasks.clock.Now())
	slices.SortFunc(list, func(a, b WorkerOnNodes) int { return strings.Compare(a.Ref(), b.Ref()) })
	return list, nil
}

// Summary counts everything once.
func (s *NodeService) Summary(ctx context.Context) (Summary, error) {
	counts, err := s.store.CountByState(ctx, "")
	if err != nil {
		return Summary{}, fmt.Errorf("count tasks: %w", err)
	}
	placed, err := s.store.Placed(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("count the tasks of nodes: %w", err)
	}
	out := Summary{Tasks: counts, ByNode: map[string]int{}}
	for _, v := range s.cluster.views() {
		out.Nodes++
		if v.Mode == skalds.NodeModeEdge {
			out.Edge++
		}
		if !v.Online {
			continue
		}
		out.Online++
		out.ByNode[v.ID] = len(placed[v.ID])
	}
	return out, nil
}
