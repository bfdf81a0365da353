package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// A file of every earlier schema is brought up to date with what is in it.
func TestOlderFiles(t *testing.T) {
	for version := 1; version < schemaVersion(); version++ {
		t.Run(fmt.Sprint("schema ", version), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "skalds.db")
			db, err := sql.Open("sqlite", dsn(path, ""))
			if err != nil {
				t.Fatal(err)
			}
			for v := range version {
				if err := step(db, v); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.Exec(`INSERT INTO nodes(id, doc) VALUES('n', '{"id":"n"}')`); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			if nodes, err := s.Nodes(t.Context()); err != nil || len(nodes) != 1 {
				t.Errorf("nodes %v, %v", nodes, err)
			}
			piece := controller.TaskUsage{TaskID: "t", Samples: []skalds.UsageSample{{At: 1}}}
			if err := s.PutUsage(t.Context(), []controller.TaskUsage{piece}); err != nil {
				t.Error(err)
			}
			if profiles, err := s.Profiles(t.Context()); err != nil || len(profiles) != 0 {
				t.Errorf("profiles %v, %v", profiles, err)
			}
		})
	}
}

func TestPointsThatAreCutOff(t *testing.T) {
	b := controller.AppendUsage(nil, skalds.UsageSample{At: 1_800_000_000_000, Usage: skalds.Usage{CPUCores: 1, MemoryBytes: 1 << 30}})
	for n := 1; n < len(b); n++ {
		if _, err := controller.ReadUsage(nil, 0, b[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for a point", n, len(b))
		}
	}
}
