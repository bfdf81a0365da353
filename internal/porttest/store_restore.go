package porttest

import (
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// storeRestore is about stores that a backup can be put into.
func storeRestore(t *testing.T, s controller.Store) {
	r, ok := s.(controller.RestoreStore)
	if !ok {
		t.Skip("nothing can be restored into this store")
	}
	ctx := t.Context()
	for _, c := range []struct{ above, want int64 }{{0, 2}, {0, 3}, {100, 101}, {50, 102}, {102, 103}} {
		if g, err := r.RaiseGeneration(ctx, c.above); err != nil || g != c.want {
			t.Errorf("raised above %d: %d, %v, want %d", c.above, g, err, c.want)
		}
	}
	lease := controller.LeaderLease{Owner: "c1", Term: 7, Renewal: 8, Length: 1e9}
	if err := s.SaveLeader(ctx, controller.LeaderLease{}, lease); err != nil {
		t.Fatal(err)
	}
	one := newTask("one", 1)
	one.IdempotencyKey = "key"
	create(t, s, one)
	for _, err := range []error{
		s.SaveNode(ctx, skalds.Node{ID: "n"}), s.SaveWorkers(ctx, "n", []skalds.WorkerInfo{{Name: "w", Version: "1.0.0"}}),
		s.SaveOffset(ctx, "reports", "5"), s.Audit(ctx, controller.AuditEntry{At: 1, Action: "x"}),
		s.PutUsage(ctx, []controller.TaskUsage{{TaskID: "one", Samples: []skalds.UsageSample{{At: 1}}}}),
		s.SaveProfiles(ctx, []controller.StoredProfile{{ClassName: "C", Worker: "w@1.0.0", Doc: []byte(`{}`)}}),
		s.PutOutcome(ctx, skalds.Outcome{
			OutcomeKey: skalds.OutcomeKey{TaskID: "one", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeExit}, Exit: &skalds.Attempt{TaskID: "one", Epoch: 1, Attempt: 1, EndedAt: 1},
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // of an empty one, too
		if err := r.Clear(ctx); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.Tasks(ctx, controller.TaskFilter{})
	if err != nil || page.Total != 0 {
		t.Errorf("tasks: %d, %v", page.Total, err)
	}
	attempts, err := s.Attempts(ctx, "one")
	if err != nil || len(attempts) != 0 {
		t.Errorf("attempts: %v, %v", attempts, err)
	}
	audits, err := s.Audits(ctx, "", 10)
	if err != nil || len(audits) != 0 {
		t.Errorf("audits: %v, %v", audits, err)
	}
	nodes, err := s.Nodes(ctx)
	if err != nil || len(nodes) != 0 {
		t.Errorf("nodes: %v, %v", nodes, err)
	}
	workers, err := s.Workers(ctx)
	if err != nil || len(workers) != 0 {
		t.Errorf("workers: %v, %v", workers, err)
	}
	usage, err := s.Usage(ctx, "one")
	if err != nil || len(usage) != 0 {
		t.Errorf("usage: %v, %v", usage, err)
	}
	profiles, err := s.Profiles(ctx)
	if err != nil || len(profiles) != 0 {
		t.Errorf("profiles: %v, %v", profiles, err)
	}
	if offset, err := s.Offset(ctx, "reports"); err != nil || offset != "" {
		t.Errorf("offset: %q, %v", offset, err)
	}
	if g, err := s.Generation(ctx); err != nil || g != 103 {
		t.Errorf("generation: %d, %v", g, err)
	}
	if l, err := s.Leader(ctx); err != nil || l != lease {
		t.Errorf("lease: %+v, %v", l, err)
	}
	again := newTask("one", 2)
	again.IdempotencyKey = "key"
	create(t, s, again)
}
