package servicemanager_test

import (
	"fmt"
	"os"
	"testing"
)

// A name behind @ is one that lies in no folder.
func TestAbstractSocket(t *testing.T) {
	name := fmt.Sprintf("@skalds-notify-%d", os.Getpid())
	c := manager(t, name)
	n, err := take(t, map[string]string{"NOTIFY_SOCKET": name})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Alive(); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, c); got != "WATCHDOG=1" {
		t.Errorf("said %q", got)
	}
}
