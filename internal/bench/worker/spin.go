package main

import (
	"context"
	"runtime"
)

// spin uses every processor until the task ends, whatever the runtime was told of a limit.
func spin(ctx context.Context) error {
	n := runtime.NumCPU()
	runtime.GOMAXPROCS(n)
	for range n {
		go func() {
			for ctx.Err() == nil {
			}
		}()
	}
	<-ctx.Done()
	return ctx.Err()
}
