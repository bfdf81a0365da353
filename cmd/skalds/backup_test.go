package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

func TestWhichStoreIsMeant(t *testing.T) {
	const uri = "mongodb://me:secret@a:27017/"
	for name, tt := range map[string]struct {
		flags   map[string]string
		environ []string
		want    string // in the name of the store; empty: refused
	}{
		"nothing said":                 {nil, nil, "/skalds.db"},
		"the environment":              {nil, []string{"MONGO_HOST=" + uri}, "MongoDB at mongodb://me:***@a:27017/, database "},
		"a flag for it":                {map[string]string{"mongo_host": uri}, []string{"SKALDS_DATA_DIR=/x"}, "MongoDB at "},
		"a folder over an environment": {map[string]string{"skalds_data_dir": "/y"}, []string{"MONGO_HOST=" + uri}, "/y/skalds.db"},
		"two flags":                    {map[string]string{"skalds_data_dir": "/y", "mongo_host": uri}, nil, ""},
	} {
		loaded, err := conf.Load(conf.Sources{Flags: tt.flags, Environ: tt.environ})
		if err != nil {
			t.Fatal(err)
		}
		s, err := storeOf(loaded, nil)
		switch {
		case tt.want == "":
			if skalds.CodeOf(err) != skalds.CodeInvalid {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || !strings.Contains(s.name(), tt.want) || strings.Contains(s.name(), "secret"):
			t.Errorf("%s: %v, %v; want %q", name, s, err, tt.want)
		}
	}
}

func TestNothingIsRestoredIntoAHostsFolder(t *testing.T) {
	for name, tt := range map[string]struct {
		files []string
		held  bool // the lock of the host in it
		want  string
	}{
		"a new folder":                {nil, false, ""},
		"that of a standalone":        {[]string{"skalds.db", "schema", "lock", "host/lock", "host/journal"}, false, ""},
		"that has lost its store":     {[]string{"schema", "host/lock"}, false, ""},
		"that of a host":              {[]string{"host/lock", "host/journal", "host/node-id"}, false, "is the data folder of a host"},
		"the inner one of a host":     {[]string{"lock", "journal"}, false, "is the data folder of a host"},
		"one that a host uses":        {[]string{"skalds.db", "host/lock"}, true, "a host that runs uses the folder"},
		"that of a host that runs":    {[]string{"host/lock", "host/journal"}, true, "is the data folder of a host"},
		"one of another program's":    {[]string{"readme"}, false, ""},
		"a host's, not yet a store's": {[]string{"host/journal", "plugins"}, false, "is the data folder of a host"},
	} {
		dir := t.TempDir()
		for _, f := range tt.files {
			path := filepath.Join(dir, f)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if tt.held {
			f, err := os.Open(filepath.Join(dir, "host", "lock"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				t.Fatal(err)
			}
		}
		r := &restoreOptions{storeCommand: storeCommand{settings: conf.Settings{DataDir: dir}}}
		_, _, err := r.intoFile(t.Context())
		refused := err != nil && skalds.CodeOf(err) == skalds.CodeConflict && tt.want != "" && strings.Contains(err.Error(), tt.want)
		if tt.want != "" && !refused || tt.want == "" && err != nil && strings.Contains(err.Error(), "host") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if _, err := os.Stat(filepath.Join(dir, "skalds.db")); tt.want != "" && tt.files[0] != "skalds.db" && err == nil {
			t.Errorf("%s: there is a store now", name)
		}
	}
}

func TestABackupReplacesNothingUnasked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "there")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &storeCommand{settings: conf.Settings{DataDir: dir}}
	if _, err := b.backup(t.Context(), path, false); skalds.CodeOf(err) != skalds.CodeConflict || !strings.Contains(err.Error(), "--force") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
}
