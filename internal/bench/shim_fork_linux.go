package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/skalds-go/skalds/plugins/shim"
)

// shimFork is how much longer it takes to have a process by the shim than by a fork of one's own: until it is known to run its
// program. Turn by turn, medians.
func shimFork(ctx context.Context, l *lab) (out []value, err error) {
	n := l.times(500, 20)
	sh, err := shim.Start(shim.Config{Env: os.Environ()})
	if err != nil {
		return nil, err
	}
	defer func() { _ = sh.Close() }()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	var by, direct []time.Duration
	for range n {
		start := time.Now()
		p, err := os.StartProcess(l.trivial(), []string{l.trivial()}, &os.ProcAttr{Files: []*os.File{null, null, null}})
		took := time.Since(start)
		if err != nil {
			return nil, fmt.Errorf("fork: %w", err)
		}
		if _, err := p.Wait(); err != nil {
			return nil, err
		}
		direct = append(direct, took)
		start = time.Now()
		c, err := sh.Start(shim.Spec{Path: l.trivial(), Args: []string{l.trivial()}}, null, null, 10*time.Second)
		took = time.Since(start)
		if err != nil {
			return nil, fmt.Errorf("fork by the shim: %w", err)
		}
		by = append(by, took)
		select {
		case <-c.Cleared():
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	d := median(direct)
	return []value{{value: milliseconds(median(by) - d), reference: d, n: n}}, nil
}
