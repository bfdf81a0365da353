package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/host"
)

var (
	_ controller.HeartbeatStore = (*HeartbeatStore)(nil)
	_ host.HeartbeatStore       = (*HeartbeatStore)(nil)
)

// beatsKey is a hash from node id to its latest heartbeat, whose fields expire: one command reads all of them.
const beatsKey = "skalds:beats"

// HeartbeatStore holds the latest heartbeat of every node. It serves controllers and hosts, and is safe for concurrent use.
type HeartbeatStore struct {
	cfg    Config
	log    hclog.Logger
	client *redis.Client

	noFieldTTL atomic.Bool // the server cannot expire fields
	oldKeysBad atomic.Bool // the original's keys could not be written; said once
}

// NewHeartbeatStore connects when it is first used. A nil log is silent.
func NewHeartbeatStore(cfg Config, log hclog.Logger) *HeartbeatStore {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if cfg.KeyTTL <= 0 {
		cfg.KeyTTL = time.Hour
	}
	return &HeartbeatStore{cfg: cfg, log: log.Named("redis"), client: cfg.client()}
}

// Beat writes the heartbeat and the original's keys in one round trip. It succeeds when the heartbeat itself is written.
func (s *HeartbeatStore) Beat(ctx context.Context, h skalds.Heartbeat, ttl time.Duration) error {
	doc, err := json.Marshal(&h)
	if err != nil {
		return fmt.Errorf("write the heartbeat of node %s: %w", h.NodeID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	expire := !s.noFieldTTL.Load()
	pipe := s.client.Pipeline()
	beat := pipe.HSet(ctx, beatsKey, h.NodeID, doc)
	var expiry *redis.IntSliceCmd
	if expire {
		expiry = pipe.HExpire(ctx, beatsKey, wholeSeconds(ttl), h.NodeID)
	} else {
		pipe.Expire(ctx, beatsKey, s.cfg.KeyTTL)
	}
	old := originalKeys(ctx, pipe, &h, s.cfg.KeyTTL, expire)
	var replicas *redis.Cmd
	if s.cfg.MinReplicas > 0 {
		replicas = pipe.Do(ctx, "WAIT", s.cfg.MinReplicas, (beatTimeout / 2).Milliseconds())
	}
	commands, err := pipe.Exec(ctx)
	if err := wholly(commands, err); err != nil {
		return fault(s.cfg, "send a heartbeat", err)
	}
	if beat.Err() != nil {
		return fault(s.cfg, "send a heartbeat", beat.Err())
	}
	if expiry != nil && isUnknownCommand(expiry.Err()) {
		s.noFieldTTL.Store(true)
		s.log.Warn("this server cannot expire fields of a hash: nodes that are gone stay listed until they are forgotten; Redis 7.4, Valkey 9 and newer can", "addr", s.cfg.Addr)
	} else if expiry != nil && expiry.Err() != nil {
		return fault(s.cfg, "send a heartbeat", expiry.Err())
	}
	if replicas != nil {
		if n, err := replicas.Int64(); err != nil || n < int64(s.cfg.MinReplicas) {
			return fault(s.cfg, "send a heartbeat", errors.Join(err, fmt.Errorf("%d of %d replicas have confirmed it", n, s.cfg.MinReplicas)))
		}
	}
	s.noteOld(old)
	return nil
}

// wholly is the error of a pipeline that belongs to no single command: the connection could not be made, was refused, or
// broke. The commands may then carry no error although nothing was done.
func wholly(commands []redis.Cmder, err error) error {
	var reply redis.Error
	if err == nil || !errors.As(err, &reply) {
		return err
	}
	for _, c := range commands {
		if c.Err() != nil {
			return nil
		}
	}
	return err
}

// noteOld says once when the keys for the original's programs cannot be written; our own nodes do not need them.
func (s *HeartbeatStore) noteOld(old []redis.Cmder) {
	for _, c := range old {
		if err := c.Err(); err != nil && !isUnknownCommand(err) && !s.oldKeysBad.Swap(true) {
			s.log.Warn("cannot write a key that Python programs read", "command", c.Name(), "err", err)
			return
		}
	}
}

// PeekSeq reads how far the node of that id has come, whoever it is.
func (s *HeartbeatStore) PeekSeq(ctx context.Context, nodeID string) (incarnation, seq int64, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	doc, err := s.client.HGet(ctx, beatsKey, nodeID).Bytes()
	if errors.Is(err, redis.Nil) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, fault(s.cfg, "read the heartbeat of node "+nodeID, err)
	}
	var h skalds.ShortHeartbeat
	if err := json.Unmarshal(doc, &h); err != nil {
		return 0, 0, false, fmt.Errorf("read the heartbeat of node %s: %w", nodeID, err)
	}
	return h.Incarnation, h.Seq, true, nil
}

// Heartbeats reads all in one round trip, sorted by node id.
func (s *HeartbeatStore) Heartbeats(ctx context.Context) ([]skalds.Heartbeat, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	docs, err := s.client.HGetAll(ctx, beatsKey).Result()
	if err != nil {
		return nil, fault(s.cfg, "read the heartbeats", err)
	}
	beats := make([]skalds.Heartbeat, 0, len(docs))
	for id, doc := range docs {
		var h skalds.Heartbeat
		if err := json.Unmarshal([]byte(doc), &h); err != nil || h.NodeID != id {
			s.log.Debug("skipped a heartbeat that cannot be read", "node_id", id, "err", err)
			continue
		}
		beats = append(beats, h)
	}
	slices.SortFunc(beats, func(a, b skalds.Heartbeat) int { return strings.Compare(a.NodeID, b.NodeID) })
	return beats, nil
}

// Forget removes a node's keys.
func (s *HeartbeatStore) Forget(ctx context.Context, nodeID string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HDel(ctx, beatsKey, nodeID)
		p.HDel(ctx, activityKey, nodeID)
		p.HDel(ctx, modeKey, nodeID)
		p.Del(ctx, nodeKeys(nodeID)...)
		return nil
	})
	return fault(s.cfg, "forget node "+nodeID, err)
}

// Ping asks the server.
func (s *HeartbeatStore) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return fault(s.cfg, "ask Redis", s.client.Ping(ctx).Err())
}

// Close drops the connections. Safe to call twice.
func (s *HeartbeatStore) Close() error { return closeClient(s.client) }

func closeClient(c *redis.Client) error {
	if err := c.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close the connections with Redis: %w", err)
	}
	return nil
}

// wholeSeconds rounds up, because fields expire in whole seconds everywhere.
func wholeSeconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

func isUnknownCommand(err error) bool {
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown command")
}
