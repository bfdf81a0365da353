package controller_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

// The file of a plugin may be removed while its processes run: their tasks can be updated as before.
func TestUpdateOfATaskWhosePluginWasRemoved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		worker := controllertest.Worker("demo", "1.0.0", "Demo")
		worker.Classes[0].Schema = json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}},"additionalProperties":false}`)
		h := w.startHost(w.host("n1", worker))
		h.Behave = forever
		w.create("a")
		w.awaitState("a", skalds.Running)
		hello := func() {
			before := answers(h)
			h.SetCut(true)
			h.SetCut(false)
			w.await("an answer to another hello", func() bool { return answers(h) > before })
		}
		time.Sleep(2 * time.Second) // a heartbeat shows the process
		synctest.Wait()
		h.Workers = nil
		hello()
		update := func(doc string) error {
			_, err := w.Tasks().UpdateAttachments(t.Context(), controller.AttachmentsUpdate{TaskID: "a", Attachments: json.RawMessage(doc), Who: "test"})
			return err
		}
		if err := update(`{"n":"seven"}`); skalds.CodeOf(err) != skalds.CodeInvalid || !strings.Contains(err.Error(), "attachments.n: ") {
			t.Errorf("what does not fit the version that runs: %v", err)
		}
		if err := update(`{"n":7}`); err != nil {
			t.Errorf("what does: %v", err)
		}
		hello()
		if err := update(`{"n":8}`); err != nil {
			t.Errorf("after another hello: %v", err)
		}
		w.stop()
		w.start() // knows nothing of the plugin
		w.await("an answer to a hello", func() bool { v, err := w.Nodes().Node(t.Context(), "n1"); return err == nil && v.Greeted })
		if err := update(`{"n":9}`); err != nil {
			t.Errorf("after a restart of the controller: %v", err)
		}
		if _, _, err := w.Tasks().Create(t.Context(), controller.CreateRequest{Spec: skalds.Spec{ID: "b", ClassName: "Demo"}}); skalds.CodeOf(err) != skalds.CodeInvalid {
			t.Errorf("a new task of that class: %v", err)
		}
	})
}
