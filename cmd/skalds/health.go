package main

import (
	"context"

	"github.com/skalds-go/skalds/controller/api"
)

// health adds the disk under the data folder to the services that must answer.
type health struct {
	api.Health
	disk disk
}

// Ready has one line per service; empty text = fine.
func (h health) Ready(ctx context.Context) map[string]string {
	out := h.Health.Ready(ctx)
	_, out["disk"] = h.disk.look()
	return out
}
