package plugins

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds"
	sdk "github.com/skalds-go/skalds/plugin-sdk"
	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugins/procstats"
)

// somebody and another are users without an entry, and without any rights.
const (
	somebody = 65533
	another  = 65532
)

var asSomebody = skalds.Isolation{User: fmt.Sprintf("%d:%d", somebody, somebody)}

// needs skips a test where this machine cannot isolate so.
func needs(t testing.TB, is skalds.Isolation) {
	t.Helper()
	if lacking := ProbeIsolation().Lacks(is.Needs()); lacking != "" {
		t.Skip("this machine ", lacking)
	}
	if is.User == "" {
		return
	}
	for dir := os.TempDir(); dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&1 == 0 {
			t.Skipf("other users cannot pass %s (%v): set TMPDIR to a folder that they can", dir, err)
		}
	}
}

// openWay lets everybody pass through the folders above path that tests have made.
func openWay(t testing.TB, path string) {
	t.Helper()
	for dir := filepath.Dir(path); dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
}

// setupOpen is setup with a folder of the task's, both of which every user can reach.
func setupOpen(t testing.TB) (*Launcher, *Plugin, string) {
	t.Helper()
	l, p := setup(t)
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	openWay(t, dir)
	openWay(t, p.Path)
	return l, p, dir
}

// result is what the script "shell" has printed.
func (a *attempt) result(t testing.TB) (out string) {
	t.Helper()
	x := a.end(t)
	for _, e := range a.events {
		if e.Kind == protocol.EventResult {
			if err := json.Unmarshal(e.Value, &out); err != nil {
				t.Error(err)
			}
		}
	}
	if x.Kind != skalds.ExitCompleted {
		t.Errorf("got %+v: %s", x, out)
	}
	return out
}

// shell runs a script in an isolated task and returns its lines.
func shell(t testing.TB, l *Launcher, p *Plugin, spec LaunchSpec, text string) []string {
	t.Helper()
	return strings.Split(strings.TrimSpace(launch(t, l, p, script{Do: "shell", Text: text}, spec).result(t)), "\n")
}

// statusField is a line of /proc/PID/status.
func statusField(t testing.TB, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut("\n"+string(b), "\n"+name+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Join(strings.Fields(line), " ")
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// kept are host services with a cache.
type kept struct {
	protocol.HostServices
	mu     sync.Mutex
	values map[string]string
}

func (k *kept) CacheSet(_ context.Context, key string, value []byte, _ time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values[key] = string(value)
	return nil
}

func TestATaskOfAnotherUser(t *testing.T) {
	needs(t, asSomebody)
	l, p, dir := setupOpen(t)
	earlier := filepath.Join(dir, "sub", "earlier")
	if err := errors.Join(os.Mkdir(filepath.Dir(earlier), 0o700), os.WriteFile(earlier, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	plain := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	services := &kept{values: map[string]string{}}
	spec := LaunchSpec{Isolation: asSomebody, DataDir: dir, Services: services, Limits: skalds.Limits{MemoryBytes: 200 << 20}, Nice: 3}
	got := shell(t, l, p, spec, fmt.Sprintf(`id -u; id -g; id -G; pwd; echo "$USER"; test "$HOME" = "$SKALDS_INSTANCE_DIR" && ls "$HOME" | grep -c token
		echo more >>%s && echo ok
		cat %s/token 2>/dev/null || echo denied
		ls %s 2>/dev/null || echo denied
		ls /proc/%d/fd 2>/dev/null || echo denied
		ulimit -n; ulimit -c`, earlier, plain.dir, l.base, os.Getpid()))
	same(t, "inside", got, []string{"65533", "65533", "65533", dir, "65533", "1", "ok", "denied", "denied", "denied", strconv.Itoa(min(noFile, hardLimit(t))), "0"})
	if x := launch(t, l, p, script{Do: "cache-set", Text: "value"}, spec).end(t); x.Kind != skalds.ExitCompleted || services.values["key"] != "value" {
		t.Errorf("a call to the host: %+v, %v", x, services.values)
	}
	var st unix.Stat_t
	if err := unix.Stat(earlier, &st); err != nil || st.Uid != somebody {
		t.Errorf("a file of earlier belongs to %d, %v", st.Uid, err)
	}
	sh, _ := l.spawner.current()
	if err := unix.Stat(fmt.Sprintf("/proc/%d/status", sh.PID()), &st); err != nil || int(st.Uid) != os.Geteuid() {
		t.Errorf("the shim: user %d, %v", st.Uid, err)
	}
	// Later without isolation: the host's own user may do everything.
	if got := shell(t, l, p, LaunchSpec{DataDir: dir}, "id -u; cat "+earlier); len(got) != 2 || got[1] != "more" {
		t.Errorf("without isolation: %q", got)
	}
}

func hardLimit(t testing.TB) int {
	t.Helper()
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	return int(min(lim.Max, 1<<30))
}

// A third user gets neither to the sockets of an instance nor to its token.
func TestNobodyElseGetsToAnInstance(t *testing.T) {
	needs(t, asSomebody)
	l, p, dir := setupOpen(t)
	a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Isolation: asSomebody, DataDir: dir, Services: services{}})
	worker := a.client.ReattachConfig().Addr.String()
	for user, want := range map[int]string{somebody: "in in in", another: "out out out"} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "SCRIPT_TRY="+strings.Join([]string{worker, filepath.Join(a.dir, "h.sock"), filepath.Join(a.dir, "token")}, ":"))
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("user %d: %v %s, want %s", user, err, out, want)
		}
	}
}

// What holds for every task holds for that of another user.
func TestTheEndsOfATaskOfAnotherUser(t *testing.T) {
	needs(t, asSomebody)
	l, p, dir := setupOpen(t)
	spec := LaunchSpec{Isolation: asSomebody, DataDir: dir}
	testEnds(t, l, p, spec, dir)
}

// stopsByItself stops a task that hears it.
func stopsByItself(t testing.TB, a *attempt) {
	t.Helper()
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(context.Background(), "cancelled", time.Minute) }()
	if x := a.end(t); x.Kind != skalds.ExitCancelled || a.finished == nil {
		t.Errorf("got %+v", x)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// testEnds is every way to end that an isolation could get in the way of.
func testEnds(t *testing.T, l *Launcher, p *Plugin, spec LaunchSpec, dir string) {
	t.Run("ends by itself", func(t *testing.T) {
		if x := launch(t, l, p, script{Do: "exit", Code: 70, Text: "x"}, spec).end(t); x.Kind != skalds.ExitExit || x.Code != 70 {
			t.Errorf("got %+v", x)
		}
		if x := launch(t, l, p, script{Do: "panic-goroutine", Text: "ouch"}, spec).end(t); x.Kind != skalds.ExitPanic || !contains(x.Message, "ouch") {
			t.Errorf("got %+v", x)
		}
	})
	t.Run("stop", func(t *testing.T) {
		stopsByItself(t, launch(t, l, p, script{Do: "wait"}, spec))
	})
	t.Run("freeze, measure and kill", func(t *testing.T) {
		file := filepath.Join(dir, "pids")
		_ = os.Remove(file)
		a := launch(t, l, p, script{Do: "tree", Code: 1, Text: `sleep 300 & echo $! >$2.tmp; mv $2.tmp $2; while :; do :; done`, File: file}, spec)
		appears(t, file)
		eventually(t, "the child counts", 30*time.Second, func() bool { return a.Usage().CPUCores > 0.1 })
		members := a.members()
		if len(members) < 3 {
			t.Errorf("the tree: %+v", members)
		}
		if err := a.Freeze(t.Context()); err != nil {
			t.Error(err)
		}
		for _, m := range a.members() {
			if m.State != 'T' && l.groups.has.Freeze == "" {
				t.Errorf("%d is in state %c", m.PID, m.State)
			}
		}
		a.Thaw(t.Context())
		a.Kill(skalds.ExitCancelled, "enough")
		if x := a.end(t); x.Kind != skalds.ExitCancelled || x.Message != "enough" {
			t.Errorf("got %+v", x)
		}
		for _, m := range members {
			if now, err := procstats.Read(m.ID.PID); err == nil && now.ID == m.ID && now.State != 'Z' {
				t.Errorf("%d lives: %+v", m.PID, now)
			}
		}
	})
	t.Run("too much memory", func(t *testing.T) {
		over := spec
		over.Limits.MemoryBytes = 128 << 20
		if x := launch(t, l, p, script{Do: "leak-child", Bytes: 2 << 30}, over).end(t); !overMemory(l, x) {
			t.Errorf("got %+v", x)
		}
	})
	t.Run("killed from outside", func(t *testing.T) {
		a := launch(t, l, p, script{Do: "wait"}, spec)
		if err := syscall.Kill(a.PID(), syscall.SIGSEGV); err != nil {
			t.Fatal(err)
		}
		if x := a.end(t); x.Kind != skalds.ExitPanic && x.Kind != skalds.ExitSignal {
			t.Errorf("got %+v", x)
		}
	})
	t.Run("the shim is killed", func(t *testing.T) {
		a := launch(t, l, p, script{Do: "deaf"}, spec)
		sh, _ := l.spawner.current()
		if err := syscall.Kill(sh.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if x := a.end(t); x.Kind != skalds.ExitHostRestart {
			t.Errorf("got %+v", x)
		}
	})
	t.Run("nothing is left", func(t *testing.T) {
		eventually(t, "run folder is empty", 30*time.Second, func() bool {
			entries, err := os.ReadDir(l.base)
			return err == nil && len(entries) == 0
		})
	})
}

// refusedIsolation launches what must be refused, by a sentence that has these parts.
func refusedIsolation(t testing.TB, l *Launcher, p *Plugin, spec LaunchSpec, want ...string) {
	t.Helper()
	spec.Plugin, spec.TaskID = p, "t"
	i, err := l.Launch(t.Context(), spec)
	if err == nil {
		i.Kill(skalds.ExitCancelled, "it was to be refused")
	}
	if !errors.As(err, new(*IsolationError)) || !contains(err.Error(), want...) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestWhereAnotherUserDoesNotGet(t *testing.T) {
	needs(t, asSomebody)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil { // other tests start programs as other users
		t.Fatal(err)
	}
	l, p := setup(t)
	closed := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(p.Path))))
	spec := LaunchSpec{Isolation: asSomebody}
	refusedIsolation(t, l, p, spec, "user 65533 cannot reach "+p.Path, closed, "chmod o+x", "setfacl -m u:65533:x")
	openWay(t, p.Path)
	own := filepath.Join(filepath.Dir(p.Path), "own")
	if err := errors.Join(copyFile(p.Path, own), os.Chmod(own, 0o744), os.Rename(own, p.Path)); err != nil {
		t.Fatal(err)
	}
	again := &Plugin{Info: p.Info, Path: p.Path}
	refusedIsolation(t, l, again, spec, "user 65533 may not execute "+p.Path, "chmod o+rx")
	if err := os.Chmod(p.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := shell(t, l, again, spec, "id -u; pwd"); strings.Join(got, " ") != "65533 /" {
		t.Errorf("got %q", got)
	}
	refusedIsolation(t, l, again, LaunchSpec{Isolation: skalds.Isolation{User: "no-such-user-here"}}, "there is no user no-such-user-here")
	if entries, err := os.ReadDir(l.base); err != nil || len(entries) != 0 {
		t.Errorf("left in the run folder: %v, %v", entries, err)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 1 {
		t.Errorf("this process was changed: dumpable %d, %v", dumpable, err)
	}
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o700)
}

// A name for a file of somebody else's, put into a task's folder, gives nobody that file.
func TestATaskFolderIsTakenOverAlone(t *testing.T) {
	needs(t, asSomebody)
	dir := t.TempDir()
	outside, in := filepath.Join(dir, "outside"), filepath.Join(dir, "in")
	if err := errors.Join(os.Mkdir(outside, 0o755), os.Mkdir(in, 0o755), os.WriteFile(filepath.Join(outside, "file"), nil, 0o600), os.WriteFile(filepath.Join(in, "file"), nil, 0o600),
		os.Link(filepath.Join(outside, "file"), filepath.Join(in, "second name")), os.Symlink(outside, filepath.Join(in, "link")), os.Symlink("../outside/file", filepath.Join(in, "to"))); err != nil {
		t.Fatal(err)
	}
	if err := (Account{somebody, somebody}).takeOver(in); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"outside": 0, "outside/file": 0, "in": somebody, "in/file": somebody, "in/second name": 0, "in/link": somebody} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil || st.Uid != want {
			t.Errorf("%s belongs to %d, %v, want %d", name, st.Uid, err, want)
		}
	}
}

func TestNoNewPrivileges(t *testing.T) {
	is := skalds.Isolation{NoNewPrivileges: true}
	needs(t, is)
	l, p, dir := setupOpen(t)
	for want, spec := range map[string]LaunchSpec{"0": {}, "1": {Isolation: is, DataDir: dir}} {
		a := launch(t, l, p, script{Do: "wait"}, spec)
		if got := statusField(t, a.PID(), "NoNewPrivs"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", a.PID())); err != nil || strings.Contains(string(b), "__exec") {
			t.Errorf("arguments: %q, %v", b, err)
		}
	}
	testEnds(t, l, p, LaunchSpec{Isolation: is, DataDir: dir}, dir)
}

func TestPaths(t *testing.T) { testPaths(t) }
func TestPathsWithoutRights(t *testing.T) {
	if asNobody(t) {
		testPaths(t)
	}
}

func testPaths(t *testing.T) {
	needs(t, skalds.Isolation{Paths: &skalds.Paths{}})
	l, p, dir := setupOpen(t)
	lies := t.TempDir()
	at := func(name string) string { return filepath.Join(lies, name) }
	for _, name := range []string{"none", "read", "write"} {
		if err := errors.Join(os.Mkdir(at(name), 0o755), os.WriteFile(at(name)+"/file", []byte(name+"\n"), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	spec := LaunchSpec{DataDir: dir, Isolation: skalds.Isolation{Paths: &skalds.Paths{ReadOnly: []string{at("read")}, ReadWrite: []string{at("write")}}}}
	try := `t() { "$@" >/dev/null 2>&1 && echo yes || echo no; }
		w() { ( echo x >"$1" ) 2>/dev/null && echo yes || echo no; }
		`
	got := shell(t, l, p, spec, try+strings.Join([]string{
		"t cat /etc/passwd", "t cat " + at("none/file"), "t ls " + lies, "t cat " + p.Path, "t cat " + at("read/file"), "t cat " + at("write/file"),
		"w " + at("none/file"), "w " + at("read/file"), "w " + at("write/file"), "w " + filepath.Join(filepath.Dir(p.Path), "new"), "t mv " + p.Path + " " + p.Path + "2",
		"w " + dir + "/file", "w $SKALDS_INSTANCE_DIR/file", "w $TMPDIR/file", "w " + os.TempDir() + "/skalds-must-not-be", "w /dev/null", "t mknod $TMPDIR/disk b 8 0", "t cat /proc/self/status",
		fmt.Sprintf("t cat /proc/%d/environ", os.Getpid()), "t ls " + l.base, "t cat $SKALDS_TOKEN_FILE",
	}, "\n"))
	environ := "no"
	if os.Geteuid() == 0 {
		environ = "yes" // which root may by its rights
	}
	same(t, "paths", got, strings.Fields(`no no no yes yes yes
		no no yes no no
		yes yes yes no yes no yes
		`+environ+` no yes`))
	beside := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	if got := shell(t, l, p, spec, try+"t cat "+beside.dir+"/token"); got[0] != "no" {
		t.Error("the token of another instance was read")
	}
	if a := launch(t, l, p, script{Do: "wait"}, spec); statusField(t, a.PID(), "NoNewPrivs") != "1" {
		t.Error("it may still gain privileges")
	}
	spec.Isolation.Paths = &skalds.Paths{ReadOnly: []string{"/not/there"}}
	refusedIsolation(t, l, p, spec, "cannot restrict the process: paths: open /not/there: no such file")
	for _, wide := range []string{filepath.Dir(p.Path), filepath.Dir(filepath.Dir(p.Path)), p.Path, os.TempDir()} {
		spec.Isolation.Paths = &skalds.Paths{ReadWrite: []string{wide}}
		refusedIsolation(t, l, p, spec, "to write "+wide+" would make the worker's own folder "+filepath.Dir(p.Path)+" writable")
	}
	link := at("link")
	if err := os.Symlink(filepath.Dir(filepath.Dir(p.Path)), link); err != nil {
		t.Fatal(err)
	}
	spec.Isolation.Paths = &skalds.Paths{ReadWrite: []string{link}}
	refusedIsolation(t, l, p, spec, "would make the worker's own folder")
	spec.Isolation.Paths = &skalds.Paths{}
	testEnds(t, l, p, spec, dir)
}

func TestNamespaces(t *testing.T) { testNamespaces(t) }
func TestNamespacesWithoutRights(t *testing.T) {
	if asNobody(t) {
		testNamespaces(t)
	}
}

func testNamespaces(t *testing.T) {
	all := skalds.Isolation{Namespaces: []skalds.Namespace{skalds.NamespaceUser, skalds.NamespacePID, skalds.NamespaceNet}}
	needs(t, all)
	l, p, dir := setupOpen(t)
	plain := launch(t, l, p, script{Do: "wait"}, LaunchSpec{})
	for _, n := range all.Namespaces {
		is := skalds.Isolation{Namespaces: []skalds.Namespace{n}}
		a := launch(t, l, p, script{Do: "wait"}, LaunchSpec{Isolation: is, DataDir: dir, Services: services{}})
		for _, kind := range all.Namespaces {
			theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", a.PID(), kind))
			ours, ourErr := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", plain.PID(), kind))
			if err != nil || ourErr != nil {
				t.Fatal(err, ourErr)
			}
			if own := theirs != ours; own != (kind == n) && !(kind == skalds.NamespaceUser && os.Geteuid() != 0) {
				t.Errorf("asked for %s: its own of %s: %v", n, kind, own)
			}
		}
		stopsByItself(t, a)
	}
	spec := LaunchSpec{Isolation: all, DataDir: dir}
	same(t, "inside", shell(t, l, p, spec, "id -u; ls /proc/self/net/route >/dev/null; tail -n +2 /proc/self/net/route | wc -l; tail -n +3 /proc/self/net/dev | grep -v lo: | wc -l"),
		[]string{strconv.Itoa(os.Geteuid()), "0", "0"})
	if os.Geteuid() == 0 {
		both := spec
		both.Isolation.User = asSomebody.User
		both.Isolation.NoNewPrivileges, both.Isolation.Paths = true, &skalds.Paths{}
		needs(t, both.Isolation)
		same(t, "with a user", shell(t, l, p, both, "id -u; id -G; grep CapEff /proc/self/status"), []string{"65533", "65533", "CapEff:\t0000000000000000"})
		testEnds(t, l, p, both, dir)
		return
	}
	testEnds(t, l, p, spec, dir)
}

// A stray that has left its group, its session, its parents and its environment is found by nobody, but the namespace ends with
// its first process.
func TestAProcessNamespaceLeavesNobody(t *testing.T) {
	is := skalds.Isolation{Namespaces: []skalds.Namespace{skalds.NamespacePID}}
	needs(t, is)
	l, p := setupEvery(t, time.Hour) // no round sees it in time
	dir := t.TempDir()
	file := filepath.Join(dir, "there")
	length := fmt.Sprintf("3%d", os.Getpid()) // how it is told from others
	a := launch(t, l, p, script{Do: "tree", Text: `env -i PATH="$PATH" setsid sh -c "sleep ` + length + ` & echo >$2"`, File: file}, LaunchSpec{Isolation: is, DataDir: dir})
	appears(t, file)
	stray := func() (found bool) {
		list, err := procstats.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
			found = found || string(b) == "sleep\x00"+length+"\x00"
		}
		return found
	}
	eventually(t, "it is there", 20*time.Second, stray)
	if err := syscall.Kill(a.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if x := a.end(t); x.Signal != syscall.SIGKILL.String() {
		t.Errorf("got %+v", x)
	}
	if stray() {
		t.Error("it lives")
	}
}

// deathSignal is what the kernel sends this process when its parent dies: it belongs to the main thread, on which init runs.
var deathSignal = func() (signal int32) {
	_ = unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&signal)), 0, 0, 0)
	return signal
}()

func init() {
	scripts["death signal"] = func(t *sdk.Task[script]) error { return t.Result(strconv.Itoa(int(deathSignal))) }
}

// standsStill reports whether every thread of the process is stopped.
func standsStill(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("process %d has no threads: %v", pid, err)
	}
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			return false // it has just ended
		}
		if state := stat[bytes.LastIndexByte(stat, ')')+1:]; !bytes.HasPrefix(state, []byte(" T ")) {
			return false
		}
	}
	return true
}

// With its host and the shim killed at once there is nobody but the kernel to end a worker that stands still.
func TestTheKernelEndsAnIsolatedTask(t *testing.T) {
	everything := skalds.Isolation{User: asSomebody.User, Namespaces: []skalds.Namespace{"user", "pid", "net"}, Paths: &skalds.Paths{}, NoNewPrivileges: true}
	for name, is := range map[string]skalds.Isolation{
		"not isolated": {}, "another user": asSomebody, "no new privileges": {NoNewPrivileges: true}, "paths": {Paths: &skalds.Paths{}},
		"processes": {Namespaces: []skalds.Namespace{"pid"}}, "users": {Namespaces: []skalds.Namespace{"user"}}, "everything": everything,
	} {
		t.Run(name, func(t *testing.T) {
			needs(t, is)
			want := strconv.Itoa(int(syscall.SIGTERM))
			if slices.Contains(is.Namespaces, "pid") {
				want = strconv.Itoa(int(syscall.SIGKILL))
			}
			l, p, data := setupOpen(t)
			if got := launch(t, l, p, script{Do: "death signal"}, LaunchSpec{Isolation: is, DataDir: data}).result(t); got != want {
				t.Errorf("the kernel would send signal %s, want %s", got, want)
			}
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			openWay(t, installWorker(t, filepath.Join(dir, "plugins"), scriptName, scriptVersion))
			order, err := json.Marshal(is)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), "SCRIPT_HOST="+dir, "SCRIPT_ISOLATION="+string(order))
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			var pid int
			if _, err := fmt.Fscan(out, &pid); err != nil {
				t.Fatal(err)
			}
			appears(t, filepath.Join(dir, "pids"))
			worker, err := procstats.Read(pid)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { signalProcess(worker.ID, syscall.SIGKILL) })
			if err := errors.Join(syscall.Kill(worker.PPID, syscall.SIGSTOP), syscall.Kill(pid, syscall.SIGSTOP)); err != nil {
				t.Fatal(err)
			}
			// The kernel continues, on the death of its parent, what has stopped with every thread, not what is about to.
			eventually(t, "both stand still", 20*time.Second, func() bool { return standsStill(t, pid) && standsStill(t, worker.PPID) })
			if err := errors.Join(cmd.Process.Kill(), syscall.Kill(worker.PPID, syscall.SIGKILL)); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // says that it was killed
			eventually(t, "the worker is gone", 20*time.Second, func() bool {
				now, err := procstats.Read(pid)
				return err != nil || now.ID != worker.ID || now.State == 'Z'
			})
			next, err := NewLauncher(LauncherConfig{RunDir: filepath.Join(dir, "run")}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { end(t, next) })
			if _, err := next.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
			if entries, err := os.ReadDir(next.base); err != nil || len(entries) > 0 {
				t.Errorf("left in the run folder: %v %v", entries, err)
			}
		})
	}
}
