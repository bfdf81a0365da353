package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// put writes a file into a folder of workers, which it makes.
func put(t testing.TB, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
	return path
}

// scan looks through dir and returns the problems by path relative to it.
func scan(t testing.TB, c *Catalog) map[string]string {
	t.Helper()
	if err := c.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range c.Problems() {
		rel, err := filepath.Rel(c.Dir(), p.Path)
		if err != nil {
			t.Fatal(err)
		}
		out[rel] = p.Reason
	}
	return out
}

func refs(c *Catalog) string {
	var out []string
	for _, w := range c.Workers() {
		out = append(out, w.Ref())
	}
	return strings.Join(out, " ")
}

func TestBrokenExecutablesAreProblemsAndAllElseIsUsable(t *testing.T) {
	dir := t.TempDir()
	installWorker(t, dir, scriptName, scriptVersion)
	put(t, filepath.Join(dir, "readonly/1.0.0/readonly"), "#!/bin/sh\n", 0o644)
	put(t, filepath.Join(dir, "rubbish/1.0.0/rubbish"), "#!/bin/sh\necho hello, I am no worker\n", 0o755)
	put(t, filepath.Join(dir, "silent/1.0.0/silent"), "#!/bin/sh\n", 0o755)
	put(t, filepath.Join(dir, "fails/1.0.0/fails"), "#!/bin/sh\necho no licence >&2\nexit 4\n", 0o755)
	put(t, filepath.Join(dir, "foreign/1.0.0/foreign"), "\x7fELF\x02\x01\x01"+strings.Repeat("\x00", 9)+"\x02\x00\xf3\x00"+strings.Repeat("\x00", 100), 0o755)
	put(t, filepath.Join(dir, "nothing/1.0.0/nothing"), "", 0o755)
	put(t, filepath.Join(dir, "nointerpreter/1.0.0/nointerpreter"), "#!/no/such/interpreter\n", 0o755)
	put(t, filepath.Join(dir, "twice/1.0.0/twice"), "#!/bin/sh\n"+`echo '{"name":"twice","version":"1.0.0","classes":[{"className":"A"},{"className":"A"}]}'`, 0o755)
	put(t, filepath.Join(dir, "noclass/1.0.0/noclass"), "#!/bin/sh\n"+`echo '{"name":"noclass","version":"1.0.0"}'`, 0o755)
	put(t, filepath.Join(dir, "badversion/latest/badversion"), "#!/bin/sh\n"+`echo '{"name":"badversion","version":"latest","classes":[{"className":"B"}]}'`, 0o755)
	put(t, filepath.Join(dir, "flood/1.0.0/flood"), "#!/bin/sh\nhead -c 6000000 /dev/zero\n", 0o755)
	installWorker(t, dir, "renamed", "1.0.0")
	put(t, filepath.Join(dir, "renamed/1.0.0/says"), "original@2.0.0", 0o644)
	put(t, filepath.Join(dir, "empty/1.0.0/README"), "", 0o644)
	put(t, filepath.Join(dir, "loose"), "#!/bin/sh\n", 0o755)
	put(t, filepath.Join(dir, "unversioned/unversioned"), "#!/bin/sh\n", 0o755)
	put(t, filepath.Join(dir, "notes.txt"), "not executable, not ours", 0o644)
	put(t, filepath.Join(dir, ".staging/1.0.0/.staging"), "#!/bin/sh\n", 0o755)
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "dangling/1.0.0"), 0o755), os.Symlink("/no/such/file", filepath.Join(dir, "dangling/1.0.0/dangling")),
		os.MkdirAll(filepath.Join(dir, "folder/1.0.0/folder"), 0o755),
		os.Symlink(scriptVersion, filepath.Join(dir, scriptName, "current")),
	); err != nil {
		t.Fatal(err)
	}
	c := NewCatalog(CatalogConfig{Dir: dir, DescribeTimeout: time.Minute}, nil)
	problems := scan(t, c)
	for path, want := range map[string][]string{
		"readonly/1.0.0/readonly":           {"not executable", "chmod +x"},
		"rubbish/1.0.0/rubbish":             {"hello, I am no worker", "is it a Skalds worker?"},
		"silent/1.0.0/silent":               {"printed no description"},
		"fails/1.0.0/fails":                 {"exit status 4", "no licence", "describe` to see more"},
		"foreign/1.0.0/foreign":             {"no program for this machine", "build it for"},
		"nothing/1.0.0/nothing":             {"no program for this machine"},
		"nointerpreter/1.0.0/nointerpreter": {"no such file"},
		"twice/1.0.0/twice":                 {"class A twice", "rename"},
		"noclass/1.0.0/noclass":             {"no class"},
		"badversion/latest/badversion":      {"no semantic version"},
		"flood/1.0.0/flood":                 {"printed no description"},
		"renamed/1.0.0/renamed":             {"original@2.0.0", "renamed@1.0.0", "move it to original/2.0.0/original"},
		"empty/1.0.0/empty":                 {"does not exist", "name of the worker"},
		"loose":                             {"wrong place", "loose/<version>/loose"},
		"unversioned/unversioned":           {"wrong place", "unversioned/<version>/unversioned"},
		"dangling/1.0.0/dangling":           {"link to a file that does not exist"},
		"folder/1.0.0/folder":               {"no regular file"},
	} {
		if reason, ok := problems[path]; !ok || !contains(reason, want...) {
			t.Errorf("%s: got %q, want %q", path, reason, want)
		}
		delete(problems, path)
	}
	if len(problems) > 0 {
		t.Errorf("more problems than expected: %v", problems)
	}
	if got := refs(c); got != "scripted@1.0.0" {
		t.Errorf("usable: %s", got)
	}
}

func TestAHangingDescribeIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "pid")
	put(t, filepath.Join(dir, "plugins/hangs/1.0.0/hangs"), "#!/bin/sh\nsleep 300 & echo $! >"+mark+"\nwait\n", 0o755)
	c := NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins"), DescribeTimeout: time.Second}, nil)
	if reason := scan(t, c)["hangs/1.0.0/hangs"]; !contains(reason, "no answer", "within 1s", "describe` to see what it waits for") {
		t.Errorf("got %q", reason)
	}
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Skip("the machine was too slow to start it: ", err)
	}
	eventually(t, "its child is gone", 5*time.Second, func() bool { return !alive(t, strings.TrimSpace(string(b))) })
}

// An executable that hangs keeps no other from being used, and is named while it is waited for.
func TestAHangingDescribeHoldsUpNobody(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "hangs/1.0.0/hangs"), "#!/bin/sh\nexec sleep 300\n", 0o755)
	installWorker(t, dir, "good", "1.0.0")
	c := NewCatalog(CatalogConfig{Dir: dir, DescribeTimeout: time.Minute}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Scan(ctx) }()
	eventually(t, "the other is usable", 20*time.Second, has(c, "good@1.0.0"))
	var names []string
	for _, p := range c.Problems() {
		names = append(names, filepath.Base(p.Path)+" "+p.Reason)
	}
	if len(names) != 1 || names[0] != "hangs has not answered `describe` yet" {
		t.Errorf("problems: %q", names)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the scan ended with %v", err)
	}
	if refs(c) != "good@1.0.0" {
		t.Errorf("it is left with %s", refs(c))
	}
}

func TestVersionsSideBySide(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []string{"1.2.0", "1.10.0", "1.9.1", "2.0.0-rc.1"} {
		installWorker(t, dir, "video", v)
	}
	installWorker(t, dir, "early", "0.1.0-alpha")
	put(t, filepath.Join(dir, "early/0.1.0-alpha/classes"), "Early", 0o644)
	c := NewCatalog(CatalogConfig{Dir: dir}, nil)
	if problems := scan(t, c); len(problems) > 0 {
		t.Fatal(problems)
	}
	if got, want := refs(c), "early@0.1.0-alpha video@1.2.0 video@1.9.1 video@1.10.0 video@2.0.0-rc.1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, tc := range []struct{ class, constraint, want string }{
		{"Script", "", "video@1.10.0"},
		{"Script", "1.2.0", "video@1.2.0"},
		{"Script", "~1.9", "video@1.9.1"},
		{"Script", ">=1 <1.10", "video@1.9.1"},
		{"Script", "2.0.0-rc.1", "video@2.0.0-rc.1"},
		{"Early", "0.1.0-alpha", "early@0.1.0-alpha"},
	} {
		p, err := c.Resolve(tc.class, tc.constraint)
		if err != nil || p.Info.Ref() != tc.want {
			t.Errorf("%s %s: got %v %v, want %s", tc.class, tc.constraint, p, err, tc.want)
		}
	}
	for _, tc := range []struct {
		class, constraint string
		is                error
		want              []string
	}{
		{"Script", "^3", skalds.ErrNotFound, []string{"video@1.2.0", "video@1.10.0", "^3"}},
		{"Early", "", skalds.ErrNotFound, []string{"early@0.1.0-alpha", "not released", "name the version"}},
		{"Sript", "", skalds.ErrNotFound, []string{"known classes: Early, Script", dir}},
		{"Script", "newest", skalds.ErrInvalid, []string{"newest", "^1.2"}},
	} {
		if _, err := c.Resolve(tc.class, tc.constraint); !errors.Is(err, tc.is) || !contains(err.Error(), tc.want...) {
			t.Errorf("%s %s: got %v, want %q", tc.class, tc.constraint, err, tc.want)
		}
	}
	if p, ok := c.Lookup("video@1.9.1"); !ok || p.Info.Version != "1.9.1" {
		t.Errorf("lookup: %v %v", p, ok)
	}
	if _, ok := c.Lookup("video@9.9.9"); ok {
		t.Error("found what is not there")
	}
}

func TestAClassStaysWithTheWorkerThatHasIt(t *testing.T) {
	dir := t.TempDir()
	installWorker(t, dir, "middle", "1.0.0")
	installWorker(t, dir, "zebra", "1.0.0")
	put(t, filepath.Join(dir, "zebra/1.0.0/classes"), "Script Own", 0o644)
	c := NewCatalog(CatalogConfig{Dir: dir}, nil)
	owner := func(class, want string) {
		t.Helper()
		if p, err := c.Resolve(class, ""); err != nil || p.Info.Name != want {
			t.Errorf("%s belongs to %v, %v; want %s", class, p, err, want)
		}
	}
	problems := scan(t, c)
	if reason := problems["zebra/1.0.0/zebra"]; !contains(reason, "Script (offered by middle already)", "rename the class") {
		t.Errorf("got %v", problems)
	}
	owner("Script", "middle")
	owner("Own", "zebra")
	if p, ok := c.Lookup("zebra@1.0.0"); !ok || !strings.Contains(p.Info.Conflict, "Script") {
		t.Errorf("the conflict is not shown: %+v", p)
	}
	installWorker(t, dir, "aardvark", "1.0.0") // first by name, but late
	scan(t, c)
	owner("Script", "middle")
	if err := os.RemoveAll(filepath.Join(dir, "middle")); err != nil {
		t.Fatal(err)
	}
	scan(t, c)
	owner("Script", "aardvark")
}

// counting is a worker that writes a line into a file each time it is described.
const counting = `#!/bin/sh
echo x >>"$(dirname "$0")/asked"
echo '{"name":"counting","version":"1.0.0","classes":[{"className":"Count","limits":{"memoryBytes":7}}]}'
`

func TestAFileIsAskedOncePerIdentity(t *testing.T) {
	dir := t.TempDir()
	path := put(t, filepath.Join(dir, "counting/1.0.0/counting"), counting, 0o755)
	asked := func() int {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "asked"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), "x")
	}
	digest := func(c *Catalog) string {
		t.Helper()
		p, ok := c.Lookup("counting@1.0.0")
		if !ok {
			t.Fatal(c.Problems())
		}
		return p.Info.Digest
	}
	c := NewCatalog(CatalogConfig{Dir: dir}, nil)
	changes := 0
	cancel := c.Subscribe(func() { changes++ })
	for range 3 {
		scan(t, c)
	}
	sum := sha256.Sum256([]byte(counting))
	if got, want := digest(c), "sha256:"+hex.EncodeToString(sum[:]); got != want || asked() != 1 || changes != 1 {
		t.Errorf("digest %s (want %s), asked %d times, %d changes", got, want, asked(), changes)
	}
	if p, _ := c.Lookup("counting@1.0.0"); p.Info.Class("Count").Limits.MemoryBytes != 7 {
		t.Errorf("got %+v", p.Info)
	}
	for i, replace := range []func(string) error{
		func(text string) error { return os.WriteFile(path, []byte(text), 0o755) }, // written in place
		func(text string) error { // exchanged by rename
			return errors.Join(os.WriteFile(path+".new", []byte(text), 0o755), os.Rename(path+".new", path))
		},
	} {
		before := digest(c)
		old, _ := c.Lookup("counting@1.0.0")
		if err := replace(counting + strings.Repeat("#", i+1)); err != nil {
			t.Fatal(err)
		}
		if err := old.verify(); !errors.Is(err, errExchanged) {
			t.Errorf("the exchange is not noticed: %v", err)
		}
		scan(t, c)
		if digest(c) == before || asked() != i+2 || changes != i+2 {
			t.Errorf("after exchange %d: asked %d times, %d changes, digest %s", i, asked(), changes, digest(c))
		}
	}
	cancel()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	scan(t, c)
	if _, ok := c.Lookup("counting@1.0.0"); ok || changes != 3 {
		t.Errorf("still there: %v; %d changes", ok, changes)
	}
}

func TestDescribeLeavesNoProcess(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "pid")
	put(t, filepath.Join(dir, "plugins/leaver/1.0.0/leaver"), "#!/bin/sh\nsleep 300 & echo $! >"+mark+"\necho rubbish\n", 0o755)
	scan(t, NewCatalog(CatalogConfig{Dir: filepath.Join(dir, "plugins")}, nil))
	b, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child is gone", 5*time.Second, func() bool { return !alive(t, strings.TrimSpace(string(b))) })
}

// running keeps a catalog up to date in the background.
func running(t testing.TB, dir string) *Catalog {
	t.Helper()
	c := NewCatalog(CatalogConfig{Dir: dir, Rescan: time.Hour}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return c
}

func has(c *Catalog, ref string) func() bool {
	return func() bool { _, ok := c.Lookup(ref); return ok }
}

func TestWatchFindsWhatIsCopiedIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	c := running(t, dir)
	installWorker(t, dir, "video", "1.0.0")
	eventually(t, "first version", 20*time.Second, has(c, "video@1.0.0"))
	installWorker(t, dir, "video", "1.1.0")
	eventually(t, "second version", 20*time.Second, has(c, "video@1.1.0"))
	staged := t.TempDir()
	installWorker(t, staged, "other", "1.0.0")
	if err := os.Rename(filepath.Join(staged, "other"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a whole folder moved in", 20*time.Second, has(c, "other@1.0.0"))
	if err := os.RemoveAll(filepath.Join(dir, "video", "1.0.0")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "removal", 20*time.Second, func() bool { return !has(c, "video@1.0.0")() })
}

func TestAHalfCopiedFileIsUsedOnceItIsComplete(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := running(t, dir)
	path := put(t, filepath.Join(dir, "slow/1.0.0/slow"), string(whole[:len(whole)/2]), 0o755)
	eventually(t, "the half is a problem", 30*time.Second, func() bool { return len(c.Problems()) == 1 })
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(whole[len(whole)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the whole is usable", 30*time.Second, has(c, "slow@1.0.0"))
	if p := c.Problems(); len(p) > 0 {
		t.Errorf("still a problem: %v", p)
	}
}

func TestAFileThatIsMadeExecutableIsFound(t *testing.T) {
	dir := t.TempDir()
	path := put(t, filepath.Join(dir, "counting/1.0.0/counting"), counting, 0o644)
	c := running(t, dir)
	eventually(t, "problem", 10*time.Second, func() bool { return len(c.Problems()) == 1 })
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "usable", 10*time.Second, has(c, "counting@1.0.0"))
}
