package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/porttest"
	"github.com/skalds-go/skalds/internal/sqlite"
	"github.com/skalds-go/skalds/internal/testlog"
)

func TestStore(t *testing.T) {
	porttest.RunStore(t, func(t testing.TB) controller.Store {
		s, err := sqlite.Open(filepath.Join(t.TempDir(), "skalds.db"), testlog.New(t))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
