package controller

import (
	"context"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
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

	leader func() string
	own    skalds.ControllerInfo // of this controller
	others ControllerRegistry    // nil: there are none
}

// Leader says who leads, as far as is known here, and where it is reached if that is announced; no ID: nobody does.
func (h *Health) Leader(ctx context.Context) skalds.ControllerInfo {
	id := h.leader()
	if id == "" {
		return skalds.ControllerInfo{}
	}
	if id == h.own.ID {
		return h.own
	}
	out := skalds.ControllerInfo{ID: id, Leader: true}
	if h.others == nil {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	list, err := h.others.Controllers(ctx)
	if err != nil {
		return out // who it is is known all the same
	}
	for _, c := range list {
		if c.ID == id {
			out.URL, out.Version, out.At = c.URL, c.Version, c.At
		}
	}
	return out
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
