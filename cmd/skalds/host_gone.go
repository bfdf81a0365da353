package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/plugins/shim"
)

// goneTasksPerMessage keeps a message with ids of 128 bytes, every one of them escaped, within the bounds of the bus.
const goneTasksPerMessage = 256

// tellHostGone makes the function by which the watcher over a host tells controllers that it is dead, or silent, and which of its
// assignments have no living process: each as often as the watcher likes. It returns when the bus has it, or fails after ten
// seconds.
func tellHostGone(ctx context.Context, at services, nodeID string, incarnation int64) func(tasks []skalds.GoneTask, silent bool) error {
	at.kafka.ClientID = "skalds-watcher"
	return func(tasks []skalds.GoneTask, silent bool) error {
		var msgs []skalds.HostMessage
		add := func(tasks []skalds.GoneTask) {
			msgs = append(msgs, skalds.HostMessage{NodeID: nodeID, Incarnation: incarnation, Gone: &skalds.HostGone{Tasks: tasks, Silent: silent}})
		}
		for part := range slices.Chunk(tasks, goneTasksPerMessage) {
			add(part)
		}
		if len(tasks) == 0 {
			add([]skalds.GoneTask{})
		}
		if err := kafka.Publish(ctx, at.kafka, nil, msgs...); err != nil {
			return fmt.Errorf("tell that the host of node %s is gone: %w", nodeID, err)
		}
		return nil
	}
}

// farewellJSON is what a host leaves with its shim.
type farewellJSON struct {
	At          services `json:"at"`
	NodeID      string   `json:"nodeId"`
	Incarnation int64    `json:"incarnation"`
}

func (l *links) farewell(nodeID string, incarnation int64) (json.RawMessage, error) {
	return json.Marshal(farewellJSON{l.at, nodeID, incarnation})
}

// sayFarewell is the shim's part.
func sayFarewell(data json.RawMessage, dead []shim.Mark, silent bool) error {
	var f farewellJSON
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	tasks := make([]skalds.GoneTask, 0, len(dead))
	for _, m := range dead {
		tasks = append(tasks, skalds.GoneTask{TaskID: m.TaskID, Epoch: m.Epoch})
	}
	return tellHostGone(context.Background(), f.At, f.NodeID, f.Incarnation)(tasks, silent)
}
