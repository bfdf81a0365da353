//go:build unix

package plugins

import (
	"errors"
	"syscall"
)

// isBusy reports whether a file could not be started because somebody still writes it.
func isBusy(err error) bool { return errors.Is(err, syscall.ETXTBSY) }
