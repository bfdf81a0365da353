package host

import (
	"errors"
	"testing"

	"github.com/skalds-go/skalds"
)

func TestClaimKeepsANameAndAllowsOneHost(t *testing.T) {
	dir := t.TempDir()
	first, err := claim(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := skalds.ValidateID(first.NodeID); err != nil {
		t.Errorf("name %q: %v", first.NodeID, err)
	}
	if _, err := claim(dir, ""); !errors.Is(err, skalds.ErrConflict) {
		t.Errorf("a second host got the folder: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := claim(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if again.NodeID != first.NodeID {
		t.Errorf("the name changed from %s to %s", first.NodeID, again.NodeID)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	named, err := claim(dir, "camera-7")
	if err != nil {
		t.Fatal(err)
	}
	defer named.Close()
	if named.NodeID != "camera-7" {
		t.Errorf("asked for camera-7, got %s", named.NodeID)
	}
}
