package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

var _ controller.ControllerRegistry = (*HeartbeatStore)(nil)

// controllersKey is a hash from controller id to what it announces, whose fields expire.
const controllersKey = "skalds:controllers"

// controllerSilence is how long an entry may stay as it is where the server cannot expire fields: each announcement changes it, as it
// says when it was made.
const controllerSilence = 30 * time.Second

// Announce writes what a controller says about itself, for as long as ttl. Where the server cannot expire fields, the entry stays
// until no controller has announced itself for ttl, and readers leave it out when it has not changed for 30 s.
func (s *HeartbeatStore) Announce(ctx context.Context, c skalds.ControllerInfo, ttl time.Duration) error {
	doc, err := json.Marshal(&c)
	if err != nil {
		return fmt.Errorf("announce controller %s: %w", c.ID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	pipe := s.client.Pipeline()
	e := s.entry(ctx, pipe, controllersKey, c.ID, doc, ttl, wholeSeconds(ttl))
	_, err = pipe.Exec(ctx)
	return fault(s.cfg, "announce a controller", s.written(e, err))
}

// Controllers lists those announced, by id.
func (s *HeartbeatStore) Controllers(ctx context.Context) ([]skalds.ControllerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	docs, err := s.client.HGetAll(ctx, controllersKey).Result()
	if err != nil {
		return nil, fault(s.cfg, "read where controllers are", err)
	}
	var dead map[string]bool
	if s.noFieldTTL.Load() {
		dead = s.words.silent(docs, controllerSilence, time.Now())
	}
	list := make([]skalds.ControllerInfo, 0, len(docs))
	for id, doc := range docs {
		var c skalds.ControllerInfo
		if err := json.Unmarshal([]byte(doc), &c); err != nil || c.ID != id {
			s.log.Debug("skipped a controller's word that cannot be read", "id", id, "err", err)
			continue
		}
		if dead[id] {
			continue
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b skalds.ControllerInfo) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// Withdraw removes an entry.
func (s *HeartbeatStore) Withdraw(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return fault(s.cfg, "take back a controller's word", s.client.HDel(ctx, controllersKey, id).Err())
}
