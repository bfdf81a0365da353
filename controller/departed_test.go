package controller_test

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// TestANodeThatHasLeftIsNotLost: neither the controller that has heard its goodbye nor the next one declares it lost.
func TestANodeThatHasLeftIsNotLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.store.SetNodeWatch(func(_, n skalds.Node) {
			if n.LostAt != 0 {
				t.Errorf("node %s, which had left in good order, is declared lost", n.ID)
			}
		})
		h := w.startHost(w.host("pod-1"))
		h.Stop()
		time.Sleep(10 * time.Second)
		w.stop()
		w.start() // its last heartbeat is still in the heartbeat store
		time.Sleep(time.Minute)
		synctest.Wait()
		v, err := w.Nodes().Node(t.Context(), "pod-1")
		if err != nil || v.Online || v.LeftAt == 0 {
			t.Errorf("online %v, left at %d, %v", v.Online, v.LeftAt, err)
		}
		w.startHost(h)
		w.create("t")
		w.awaitState("t", skalds.Finished)
		if v, err := w.Nodes().Node(t.Context(), "pod-1"); err != nil || !v.Online || v.LeftAt != 0 {
			t.Errorf("when it is back: online %v, left at %d, %v", v.Online, v.LeftAt, err)
		}
	})
}

// TestNodesThatAreGoneAreForgotten: after the retention a node is known no more, unless it has tasks, or people have said something of it that
// holds for its return.
func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	inSeveral(t, 0, func(t *testing.T, s *several) {
		s.cfg.NodeRetention = 30 * time.Minute
		leader := s.add("c0")
		s.awaitLeader() // the first one
		follower := s.add("c1")
		ctx := t.Context()
		hosts := map[string]*controllertest.Host{}
		for _, id := range []string{"busy", "cordoned", "draining", "labelled", "left", "lives", "lost"} {
			hosts[id] = s.startHost(s.host(id, controllertest.Worker("of-"+id, "1.0.0", "Of-"+id)))
			hosts[id].Behave, hosts[id].Step = forever, 100*time.Millisecond
		}
		create := func(id, class string, keeps skalds.OnDisconnect) {
			t.Helper()
			spec := skalds.Spec{ID: id, ClassName: class, OnDisconnect: keeps}
			if _, _, err := leader.Tasks().Create(ctx, controller.CreateRequest{Spec: spec, Who: "test"}); err != nil {
				t.Fatal(err)
			}
		}
		create("keeps", "Of-busy", skalds.OnDisconnectKeep)
		s.awaitState("keeps", skalds.Running)
		one := "1"
		_, cordon := leader.Nodes().Cordon(ctx, "cordoned", true, "test")
		_, drain := leader.Nodes().Drain(ctx, "draining", nil, "test")
		_, label := leader.Nodes().SetLabels(ctx, "labelled", map[string]*string{"gpu": &one}, false, "test")
		if cordon != nil || drain != nil || label != nil {
			t.Fatal(cordon, drain, label)
		}
		time.Sleep(10 * time.Second)
		for id, h := range hosts {
			switch id {
			case "lives":
			case "left":
				h.Stop()
			default:
				h.Kill()
			}
		}
		time.Sleep(50 * time.Minute) // it has been pruned once, at the beginning
		synctest.Wait()
		known := func(what string, list []string, err error, want ...string) {
			t.Helper()
			slices.Sort(list)
			if err != nil || !slices.Equal(list, want) {
				t.Errorf("%s: %q, %v; want %q", what, list, err, want)
			}
		}
		stored := func() []string {
			ids := map[string]bool{}
			nodes, err := s.store.Nodes(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range nodes {
				ids[n.ID] = true
			}
			return slices.Collect(maps.Keys(ids))
		}
		known("stored before", stored(), nil, "busy", "cordoned", "draining", "labelled", "left", "lives", "lost")
		time.Sleep(75 * time.Minute) // what one round leaves the next one takes
		synctest.Wait()
		left := []string{"busy", "cordoned", "labelled", "lives"}
		known("stored", stored(), nil, left...)
		for _, c := range []*oneOf{leader, follower} {
			views, err := c.Nodes().Nodes(ctx)
			var ids []string
			for _, v := range views {
				ids = append(ids, v.ID)
			}
			known("known to "+c.id, ids, err, left...)
			workers, err := c.Nodes().Workers(ctx)
			ids = nil
			for _, w := range workers {
				ids = append(ids, w.Name)
			}
			known("plugins known to "+c.id, ids, err, "of-busy", "of-cordoned", "of-labelled", "of-lives")
		}
		s.startHost(hosts["draining"])
		create("again", "Of-draining", "")
		s.awaitState("again", skalds.Running)
	})
}
