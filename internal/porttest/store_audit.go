package porttest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/skalds-go/skalds/controller"
)

func storeAudit(t *testing.T, s controller.Store) {
	for i, id := range []string{"one", "two", "one", ""} {
		e := controller.AuditEntry{At: int64(i), Who: "alice", Action: fmt.Sprint("action ", i), TaskID: id, After: json.RawMessage(`{"a":1}`)}
		if err := s.Audit(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	actions := func(task string, limit int) []string {
		entries, err := s.Audits(t.Context(), task, limit)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, e := range entries {
			out = append(out, e.Action)
		}
		return out
	}
	same(t, "of one, newest first", actions("one", 10), []string{"action 2", "action 0"})
	same(t, "of all", actions("", 3), []string{"action 3", "action 2", "action 1"})
}
