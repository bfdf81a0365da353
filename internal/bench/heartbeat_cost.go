package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// heartbeatCost is what a heartbeat costs a controller, and what tasks that are created beside them take, with nodes that only speak:
// package internal/scale measures, in a process of its own.
func heartbeatCost(ctx context.Context, l *lab) ([]value, error) {
	at, why, err := l.services(ctx)
	if err != nil || why != "" {
		return []value{{leftOut: why}, {leftOut: why}}, err
	}
	room, err := l.room()
	if err != nil {
		return nil, err
	}
	out := filepath.Join(room, "scale.json")
	nodes, seconds := l.times(200, 20), l.times(20, 3)
	c := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestGrowth$", module+"/internal/scale")
	c.Env = append(os.Environ(), "SCALE_NODES="+strconv.Itoa(nodes), "SCALE_SECONDS="+strconv.Itoa(seconds), "SCALE_OUT="+out,
		"SKALDS_TEST_KAFKA="+at.kafka, "SKALDS_TEST_REDIS="+at.redis)
	var text bytes.Buffer
	c.Stdout, c.Stderr, c.SysProcAttr = &text, &text, tied()
	if err = l.start(c); err == nil {
		err = c.Wait()
	}
	var sizes []struct {
		HeartbeatUS   float64 `json:"heartbeatUs"`
		BeatsPerS     float64 `json:"beatsPerS"`
		DispatchP95MS float64 `json:"dispatchP95Ms"`
	}
	b, readErr := os.ReadFile(out)
	if err := errors.Join(err, readErr); err != nil {
		return nil, fmt.Errorf("measure %d nodes: %w\n%s", nodes, err, bytes.TrimSpace(text.Bytes()))
	}
	if err := json.Unmarshal(b, &sizes); err != nil || len(sizes) != 1 {
		return nil, fmt.Errorf("measure %d nodes: %d sizes in %s, %w", nodes, len(sizes), out, err)
	}
	beats := int(sizes[0].BeatsPerS * float64(seconds))
	return []value{{value: sizes[0].HeartbeatUS, n: beats}, {value: sizes[0].DispatchP95MS, n: 20 * seconds}}, nil
}
