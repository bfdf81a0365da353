package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skalds-go/skalds"
)

func TestThresholds(t *testing.T) {
	for name, c := range map[string]struct {
		check func(*findings)
		want  finding
	}{
		"too few files": {func(f *findings) { checkOpenFiles(f, 100) }, finding{healthFail, "open files", "100 are allowed, a host alone needs more", "raise the limit with `ulimit -n 65536`, or LimitNOFILE of its systemd unit"}},
		"few files":     {func(f *findings) { checkOpenFiles(f, 1024) }, finding{healthWarn, "open files", "1024 are allowed, enough for about 74 tasks", "raise the limit with `ulimit -n 65536`, or LimitNOFILE of its systemd unit"}},
		"files":         {func(f *findings) { checkOpenFiles(f, 65536) }, finding{healthOK, "open files", "65536 are allowed", ""}},
		"no limit":      {func(f *findings) { checkOpenFiles(f, 1<<63) }, finding{healthOK, "open files", "no limit", ""}},
		"no disk":       {func(f *findings) { checkDisk(f, "/d", true, 99<<20) }, finding{healthFail, "data folder", "/d can be written, but has only 99 MiB free", "make room, or name another one with --data-dir"}},
		"little disk":   {func(f *findings) { checkDisk(f, "/d", false, 500<<20) }, finding{healthWarn, "data folder", "/d is not there yet and can be made, but has only 500 MiB free", "make room, or name another one with --data-dir"}},
		"all isolation": {func(f *findings) {
			all := skalds.NodeAbilities{}
			for _, a := range skalds.Abilities() {
				all[a] = ""
			}
			checkIsolation(f, all)
		}, finding{healthOK, "isolation", "a host of this user can do uid, userns, pidns, netns, landlock, no_new_privs", ""}},
		"some isolation": {func(f *findings) {
			checkIsolation(f, skalds.NodeAbilities{skalds.AbilityLandlock: "the kernel has none", skalds.AbilityPIDNamespace: "", skalds.AbilityUID: "only root can change users"})
		}, finding{healthOK, "isolation", "a host of this user can do pidns; not uid: only root can change users; not landlock: the kernel has none", ""}},
		"no isolation": {func(f *findings) {
			checkIsolation(f, skalds.NodeAbilities{skalds.AbilityUID: "only Linux can"})
		}, finding{healthOK, "isolation", "a host of this user can do nothing; not uid: only Linux can", ""}},
		"disk": {func(f *findings) { checkDisk(f, "/d", true, 2<<30) }, finding{healthOK, "data folder", "/d can be written, 2 GiB free", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			f := findings{Status: healthOK}
			c.check(&f)
			if len(f.Checks) != 1 || f.Checks[0] != c.want || f.Status != c.want.Status {
				t.Errorf("found %+v", f)
			}
		})
	}
}

func TestCgroupVersions(t *testing.T) {
	for want, files := range map[string][]string{
		"version 2": {"cgroup.controllers"}, "version 1": {"memory/tasks"}, "there is none": nil,
		"versions 1 and 2 side by side (hybrid)": {"memory/tasks", "unified/cgroup.controllers"},
	} {
		root := t.TempDir()
		for _, file := range files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f := findings{Status: healthOK}
		checkCgroup(&f, root)
		if f.Checks[0].Text != want {
			t.Errorf("%v is %q, want %q", files, f.Checks[0].Text, want)
		}
	}
}

func TestADataFolderThatCannotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	f := findings{Status: healthOK}
	checkDataDir(&f, filepath.Join(dir, "data"))
	if f.Status != healthFail || f.Checks[0].Text != "cannot write to "+dir+": permission denied" {
		t.Errorf("found %+v", f)
	}
}
