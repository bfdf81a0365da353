package host

import (
	"context"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// duplicateWatch is how long a host looks for another live one under its id: the one that started last refuses.
const duplicateWatch = 5 * time.Second

// advanced reports whether a sighting of (incarnation, seq) under this host's id proves another live host: it is not ours,
// it is not the leftover of a former self, and it has moved since the last sighting.
func advanced(own int64, last, now [2]int64) bool {
	return now[0] != own && last[0] == now[0] && now[1] > last[1] && last[1] > 0
}

// lookForDuplicate reads the latest heartbeat under this id during the first seconds. Beats of this host overwrite those
// of the other and the other way round, so each sees the other soon.
func (h *heartbeats) lookForDuplicate(ctx context.Context) {
	if time.Since(h.since) > duplicateWatch {
		return
	}
	c, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	incarnation, seq, found, err := h.beats.PeekSeq(c, h.nodeID)
	if err != nil || !found || incarnation == h.incarnation {
		return
	}
	seen := [2]int64{incarnation, seq}
	if advanced(h.incarnation, h.foreign, seen) {
		h.duplicate(duplicateError(h.nodeID))
	}
	h.foreign = seen
}

// watchBeforeStart looks for another live host under this id before anything is started or said. It returns at once where the id
// is free, or where the last heartbeat is that of this host's former self. A store that does not answer is asked until the time is up;
// then the controllers have to see it, who hear both on the bus and take on none before the other is silent.
func watchBeforeStart(ctx context.Context, beats HeartbeatStore, nodeID string, own, former int64, period time.Duration) error {
	if beats == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*period/2)
	defer cancel()
	look := time.NewTicker(period / 2)
	defer look.Stop()
	var last [2]int64
	for {
		c, cancel := context.WithTimeout(ctx, beatTimeout)
		incarnation, seq, found, err := beats.PeekSeq(c, nodeID)
		cancel()
		if err == nil {
			if !found || incarnation == own || incarnation == former {
				return nil
			}
			now := [2]int64{incarnation, seq}
			if advanced(own, last, now) {
				return duplicateError(nodeID)
			}
			last = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

func duplicateError(nodeID string) error {
	return skalds.Errorf(skalds.CodeConflict, "another live host runs under the id %q: start this one with another --node-id (SKALD_ID), or stop the other", nodeID)
}

func sortedUnique(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}
