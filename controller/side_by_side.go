package controller

import (
	"context"
	"errors"
	"sync"

	"github.com/skalds-go/skalds"
)

// sideBySide does something for every item, at most n at a time, and returns when all is done.
func sideBySide[T any](n int, items []T, do func(T)) {
	work := make(chan T)
	var wg sync.WaitGroup
	for range min(n, len(items)) {
		wg.Go(func() {
			for item := range work {
				do(item)
			}
		})
	}
	for _, item := range items {
		work <- item
	}
	close(work)
	wg.Wait()
}

// isAway reports whether a call ended because the service did not answer: the next one would take as long.
func isAway(err error) bool {
	return skalds.CodeOf(err) == skalds.CodeUnavailable || errors.Is(err, context.DeadlineExceeded)
}
