package porttest

import (
	"testing"

	"github.com/skalds-go/skalds/controller"
)

func storeOffsets(t *testing.T, s controller.Store) {
	ctx := t.Context()
	if v, err := s.Offset(ctx, "reports"); err != nil || v != "" {
		t.Errorf("an unknown offset is %q, %v", v, err)
	}
	for _, v := range []string{"a:1", "a:2"} {
		if err := s.SaveOffset(ctx, "reports", v); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := s.Offset(ctx, "reports"); err != nil || v != "a:2" {
		t.Errorf("the offset is %q, %v; want a:2", v, err)
	}
	if g, err := s.Generation(ctx); err != nil || g < 1 {
		t.Errorf("the generation is %d, %v; want at least 1", g, err)
	}
}
