//go:build !linux

package main

import (
	"context"
	"errors"
)

// shimFork measures nothing: there is no shim on this system.
func shimFork(context.Context, *lab) ([]value, error) {
	return nil, errors.New("there is no shim on this system")
}
