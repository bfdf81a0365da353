package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// StageOption refines a stage.
type StageOption func(*stageConfig)

type stageConfig struct {
	retries int
	delay   time.Duration
}

// StageRetry runs a failing stage up to n more times, delay apart (doubling), before its error counts. Permanent errors
// are not repeated.
func StageRetry(n int, delay time.Duration) StageOption {
	return func(c *stageConfig) { c.retries, c.delay = n, delay }
}

// Stage runs a named step that is done once per task: when it has finished, a later attempt skips it. Names must be
// unique within the task. The borders of a stage are safe points.
func (t *Task[A]) Stage(ctx context.Context, name string, fn func(ctx context.Context) error, opts ...StageOption) error {
	_, err := StageValue(ctx, t, name, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) }, opts...)
	return err
}

// StageValue is Task.Stage for a step with a result, which is kept as JSON and given back by later attempts. A result that
// an older version of the worker stored in another shape makes the stage run again.
func StageValue[A, T any](ctx context.Context, t *Task[A], name string, fn func(ctx context.Context) (T, error), opts ...StageOption) (T, error) {
	var zero T
	cfg := stageConfig{}
	for _, o := range opts {
		o(&cfg)
	}
	if err := t.Yield(ctx); err != nil {
		return zero, err
	}
	if raw, ok := t.finishedStage(name); ok {
		var v T
		if err := json.Unmarshal(raw, &v); err == nil {
			t.log.Debug("stage was finished by an earlier attempt", "stage", name)
			return v, nil
		}
		t.log.Warn("stored result of the stage does not fit any more, running it again", "stage", name)
	}
	t.change(func(p *protocol.Progress) { p.Stage = name })
	v, err := fn(ctx)
	for n, delay := 0, cfg.delay; err != nil && n < cfg.retries && !IsPermanent(err) && ctx.Err() == nil; n, delay = n+1, delay*2 {
		t.log.Warn("stage failed, trying again", "stage", name, "err", err, "tries_left", cfg.retries-n)
		if serr := t.Sleep(ctx, delay); serr != nil {
			return zero, serr
		}
		v, err = fn(ctx)
	}
	if err != nil {
		return zero, fmt.Errorf("stage %s: %w", name, err)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return zero, Permanent(fmt.Errorf("stage %s: encode its result: %w", name, err))
	}
	if len(raw) > protocol.MaxResult {
		return zero, Permanent(fmt.Errorf("stage %s: its result of %d bytes is larger than the %d allowed: write a file and return its path", name, len(raw), protocol.MaxResult))
	}
	t.mu.Lock()
	t.stages[name] = raw
	t.mu.Unlock()
	t.out.put(protocol.RunEvent{Kind: protocol.EventStageFinished, Stage: name, Value: raw})
	return v, t.Yield(ctx)
}

func (t *Task[A]) finishedStage(name string) (json.RawMessage, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	raw, ok := t.stages[name]
	return raw, ok
}
