package main

import (
	"context"
	"runtime"
	"time"
)

// threads makes a thread every millisecond until the task ends.
func threads(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			go func() {
				runtime.LockOSThread() // it has one for itself
				<-ctx.Done()
			}()
		}
	}
}
