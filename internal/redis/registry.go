package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

var _ controller.ControllerRegistry = (*HeartbeatStore)(nil)

// controllersKey is a hash from controller id to what it announces, whose fields expire.
const controllersKey = "skalds:controllers"

// Announce writes what a controller says about itself, for as long as ttl. Where the server cannot expire fields, the entry stays
// until the whole hash has not been written for ttl.
func (s *HeartbeatStore) Announce(ctx context.Context, c skalds.ControllerInfo, ttl time.Duration) error {
	doc, err := json.Marshal(&c)
	if err != nil {
		return fmt.Errorf("announce controller %s: %w", c.ID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	expire := !s.noFieldTTL.Load()
	var expiry *redis.IntSliceCmd
	commands, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, controllersKey, c.ID, doc)
		if expire {
			expiry = p.HExpire(ctx, controllersKey, wholeSeconds(ttl), c.ID)
		} else {
			p.Expire(ctx, controllersKey, wholeSeconds(ttl))
		}
		return nil
	})
	if expiry != nil && isUnknownCommand(expiry.Err()) {
		s.noFieldTTL.Store(true)
		return nil
	}
	if err := wholly(commands, err); err != nil {
		return fault(s.cfg, "announce a controller", err)
	}
	return fault(s.cfg, "announce a controller", commands[0].Err())
}

// Controllers lists those announced, by id.
func (s *HeartbeatStore) Controllers(ctx context.Context) ([]skalds.ControllerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	docs, err := s.client.HGetAll(ctx, controllersKey).Result()
	if err != nil {
		return nil, fault(s.cfg, "read where controllers are", err)
	}
	list := make([]skalds.ControllerInfo, 0, len(docs))
	for id, doc := range docs {
		var c skalds.ControllerInfo
		if err := json.Unmarshal([]byte(doc), &c); err != nil || c.ID != id {
			s.log.Debug("skipped a controller's word that cannot be read", "id", id, "err", err)
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
