package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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
	client redis.UniversalClient

	noFieldTTL atomic.Bool // the server cannot expire fields
	oldKeysBad atomic.Bool // the original's keys could not be written; said once
	words      watched     // of controllers
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
	pipe := s.client.Pipeline()
	own, err := s.beatPipe(ctx, pipe)
	if err != nil {
		return fault(s.cfg, "send a heartbeat", err)
	}
	e := s.entry(ctx, own, beatsKey, h.NodeID, doc, ttl, s.cfg.KeyTTL)
	var replicas *redis.Cmd
	if s.cfg.MinReplicas > 0 {
		replicas = own.Do(ctx, "WAIT", s.cfg.MinReplicas, (beatTimeout / 2).Milliseconds())
	}
	old := originalKeys(ctx, pipe, &h, s.cfg.KeyTTL, e.expiry != nil)
	var others sync.WaitGroup
	if own != pipe {
		others.Go(func() { _, _ = pipe.Exec(ctx) }) // noteOld looks at each command
	}
	_, err = own.Exec(ctx)
	others.Wait()
	if err := s.written(e, err); err != nil {
		s.lookAgain(err)
		return fault(s.cfg, "send a heartbeat", err)
	}
	if replicas != nil {
		if n, err := replicas.Int64(); err != nil || n < int64(s.cfg.MinReplicas) {
			return fault(s.cfg, "send a heartbeat", errors.Join(err, fmt.Errorf("%d of %d replicas have confirmed it", n, s.cfg.MinReplicas)))
		}
	}
	s.noteOld(old)
	return nil
}

// beatPipe is where the heartbeat itself goes: into the pipeline of all. To a cluster it goes by one of its own, because the driver
// takes all commands of a pipeline for failed when one server has not answered in time; and where replicas must confirm it, directly
// to their server, because it is the connection that has written which must be asked.
func (s *HeartbeatStore) beatPipe(ctx context.Context, all redis.Pipeliner) (redis.Pipeliner, error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	switch {
	case !ok:
		return all, nil
	case s.cfg.MinReplicas == 0:
		return cluster.Pipeline(), nil
	}
	server, err := cluster.MasterForKey(ctx, beatsKey)
	if err != nil {
		return nil, err
	}
	return server.Pipeline(), nil
}

// lookAgain asks a cluster where keys lie when one has moved that was not looked for by the driver.
func (s *HeartbeatStore) lookAgain(err error) {
	if cluster, ok := s.client.(*redis.ClusterClient); ok && redis.HasErrorPrefix(err, "MOVED") {
		cluster.ReloadState(context.Background())
	}
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
		for _, k := range nodeKeys(nodeID) { // one each: they may lie on several servers of a cluster
			p.Del(ctx, k)
		}
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

// entry is a field of a hash on its way, and how long it lives.
type entry struct {
	set    *redis.IntCmd
	expiry *redis.IntSliceCmd // nil where the server cannot expire fields
	whole  *redis.BoolCmd     // then the hash expires, after it has not been written for long
}

// entry queues a field that lives for ttl. Where fields live for ever, the whole hash goes when it has not been written for idle.
func (s *HeartbeatStore) entry(ctx context.Context, pipe redis.Pipeliner, hash, field string, doc []byte, ttl, idle time.Duration) entry {
	e := entry{set: pipe.HSet(ctx, hash, field, doc)}
	if s.noFieldTTL.Load() {
		e.whole = pipe.Expire(ctx, hash, idle)
	} else {
		e.expiry = pipe.HExpire(ctx, hash, wholeSeconds(ttl), field)
	}
	return e
}

// written is why an entry is not there, by what the server has answered: a pipeline whose connection is refused may leave its commands
// without an error of their own.
func (s *HeartbeatStore) written(e entry, err error) error {
	switch {
	case e.set.Err() != nil:
		return e.set.Err() // the expiry may have been set all the same, of what was there before
	case e.expiry != nil && isUnknownCommand(e.expiry.Err()):
		if !s.noFieldTTL.Swap(true) {
			s.log.Warn("this server cannot expire fields of a hash: nodes that are gone stay listed until they are forgotten; Redis 7.4, Valkey 9 and newer can", "addr", s.cfg.Addr)
		}
		return nil
	case e.expiry != nil && e.expiry.Err() != nil:
		return e.expiry.Err()
	case e.whole != nil && e.whole.Err() != nil:
		return e.whole.Err()
	case e.expiry != nil && slices.Equal(e.expiry.Val(), []int64{1}), e.whole != nil && e.whole.Val():
		return nil
	case err != nil:
		return err
	}
	return errors.New("what was written was not there any more a moment later")
}

// unread is why commands that only read have no answer: the first fault that is about more than a missing value, or one of another
// type. Where one value is unknown all are: a missing one would be taken for the end of a task.
func unread(commands []redis.Cmder, err error) error {
	faults := 0
	for _, c := range commands {
		err := c.Err()
		if err == nil {
			continue
		}
		faults++
		if !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return err
		}
	}
	if faults > 0 {
		return nil
	}
	return err
}

// wholeSeconds rounds up, because fields expire in whole seconds everywhere.
func wholeSeconds(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

func isUnknownCommand(err error) bool {
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown command")
}
