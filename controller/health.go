package controller

import (
	"context"
	"sync"
	"time"
)

// pingTimeout bounds the question to each service.
const pingTimeout = 2 * time.Second

// Health says which services answer.
type Health struct {
	store   Store
	bus     Bus
	beats   HeartbeatStore
	cluster *cluster
	leading func(storeAway bool) string
}

// Ready asks every service, side by side. One line per service; empty text = fine.
func (h *Health) Ready(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	out := map[string]string{"monitor": ""}
	if b := h.cluster.blind(); b != "" {
		out["monitor"] = "blind: " + b
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, ping := range map[string]func(context.Context) error{"store": h.store.Ping, "bus": h.bus.Ping, "redis": h.beats.Ping} {
		wg.Go(func() {
			text := ""
			if err := ping(ctx); err != nil {
				text = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = text
		})
	}
	wg.Wait()
	out["leader"] = h.leading(out["store"] != "")
	return out
}
