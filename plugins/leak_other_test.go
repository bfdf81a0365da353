//go:build unix && !linux

package plugins

import "testing"

// shimHolds is nothing: there is no shim.
func shimHolds(testing.TB, *Launcher) shimHeld { return shimHeld{} }
