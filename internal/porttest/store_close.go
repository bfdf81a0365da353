package porttest

import (
	"testing"

	"github.com/skalds-go/skalds/controller"
)

func storeCancelled(t *testing.T, s controller.Store) {
	ctx, cancel := contextWithCancel(t)
	cancel()
	if _, _, err := s.Create(ctx, newTask("one", 1)); err == nil {
		t.Error("create under a cancelled context succeeded")
	}
	create(t, s, newTask("two", 1)) // and nothing is stuck
}

func storeClose(t *testing.T, s controller.Store) {
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers a ping")
	}
	if _, _, err := s.Create(t.Context(), newTask("one", 1)); err == nil {
		t.Error("a closed store takes a task")
	}
}
