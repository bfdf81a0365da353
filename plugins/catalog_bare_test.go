package plugins

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A folder without any worker is told of once, with what to do, and again when the last worker has gone from it.
func TestABareFolderIsToldOfOnce(t *testing.T) {
	var log bytes.Buffer
	dir := filepath.Join(t.TempDir(), "mistyped")
	place := filepath.Join(dir, "<name>", "<version>", "<name>")
	c := NewCatalog(CatalogConfig{Dir: dir, DescribeTimeout: time.Minute}, hclog.New(&hclog.LoggerOptions{Output: &log}))
	warned := func(want ...string) {
		t.Helper()
		for range 2 {
			scan(t, c)
		}
		if n := strings.Count(log.String(), "[WARN]"); n != len(want) {
			t.Errorf("%d warnings, want %d\n%s", n, len(want), log.String())
		}
		for _, w := range want {
			if !strings.Contains(log.String(), w) {
				t.Errorf("it does not warn %q\n%s", w, log.String())
			}
		}
		log.Reset()
	}
	warned("there was no folder of workers: copy one to " + place)
	file := put(t, filepath.Join(dir, "one/1.0.0/one"), "#!/bin/sh\n"+`echo '{"name":"one","version":"1.0.0","protocol":1,"classes":[{"className":"A"}]}'`, 0o755)
	warned()
	if refs(c) != "one@1.0.0" {
		t.Fatalf("it knows %q, with %v", refs(c), c.Problems())
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	warned("cannot use worker") // its empty folder says enough
	if err := os.RemoveAll(filepath.Join(dir, "one")); err != nil {
		t.Fatal(err)
	}
	warned("the folder of workers holds no worker: copy one to " + place)
}
