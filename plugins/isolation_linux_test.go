package plugins

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds"
)

// asNobody runs the calling test in a process of a user without any rights, and is true there.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Getenv("SCRIPT_NOBODY") != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can change users")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	own, err := os.MkdirTemp("/tmp", "nobody-") // ours may be closed to it
	if err == nil {
		err = os.Chown(own, anybody, anybody)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(own) })
	cmd.Env = append(os.Environ(), "SCRIPT_NOBODY=1", "TMPDIR="+own)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: anybody, Gid: anybody}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// checkProbe compares what the probe says with what happens to programs that are really executed.
func checkProbe(t *testing.T) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil { // other tests start programs as other users
		t.Fatal(err)
	}
	got := ProbeIsolation()
	t.Log(got)
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 1 {
		t.Errorf("the probe has changed this process: dumpable %d, %v", dumpable, err)
	}
	for _, a := range skalds.Abilities() {
		if _, said := got[a]; !said {
			t.Errorf("nothing is said of %s", a)
		}
	}
	for ability, flag := range map[skalds.Ability]uintptr{
		skalds.AbilityUserNamespace: unix.CLONE_NEWUSER, skalds.AbilityPIDNamespace: unix.CLONE_NEWPID, skalds.AbilityNetNamespace: unix.CLONE_NEWNET,
	} {
		if os.Geteuid() != 0 {
			flag |= unix.CLONE_NEWUSER
		}
		cmd := exec.Command("/proc/self/exe", "-test.list=^$")
		if flag&unix.CLONE_NEWPID != 0 {
			cmd.Path = "/bin/true" // /proc shows the processes of the namespace outside
		}
		cmd.SysProcAttr = namespaceAttr(flag)
		out, err := cmd.CombinedOutput()
		if (err == nil) != (got[ability] == "") {
			t.Errorf("%s: said %q, but a program in one: %v %s", ability, got[ability], err, out)
		}
	}
}

func TestWhatThisMachineCanIsolate(t *testing.T) {
	checkProbe(t)
	got := ProbeIsolation()
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: anybody, Gid: anybody}}
	if err := cmd.Run(); err != nil && got[skalds.AbilityUID] == "" {
		t.Errorf("said that users can be changed, but: %v", err)
	}
	best := time.Hour
	for range 5 {
		started := time.Now()
		ProbeIsolation()
		best = min(best, time.Since(started))
	}
	t.Log("took ", best)
	if best > 5*20*time.Millisecond {
		t.Errorf("took %s", best)
	}
}

func TestWhatAHostWithoutRightsCanIsolate(t *testing.T) {
	if !asNobody(t) {
		return
	}
	checkProbe(t)
	if got := ProbeIsolation()[skalds.AbilityUID]; got != "only root can change users" {
		t.Errorf("users: %q", got)
	}
}

func TestWhatAHostInAUserNamespaceCanIsolate(t *testing.T) {
	if !inUserNamespace(t) {
		return
	}
	got := ProbeIsolation()
	if got[skalds.AbilityUID] != "this host runs in a user namespace that knows no other users" {
		t.Errorf("users: %q", got[skalds.AbilityUID])
	}
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		t.Skip("cannot take user namespaces away: ", err)
	}
	got = ProbeIsolation()
	if got[skalds.AbilityUserNamespace] != "no more of them may be made: see user.max_user_namespaces" {
		t.Errorf("none may be made: %q", got[skalds.AbilityUserNamespace])
	}
	if got[skalds.AbilityPIDNamespace] != "" { // this host is root where it is
		t.Errorf("process namespaces: %q", got[skalds.AbilityPIDNamespace])
	}
}

func TestAHostThatCouldNotEndAProcessOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can change users")
	}
	if reason := probeUID(); reason != "" {
		t.Skip("users cannot be changed here: ", reason)
	}
	said := make(chan [2]string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the rights that it has lost
		said <- [2]string{withoutCapability(t, unix.CAP_SETUID), withoutCapability(t, unix.CAP_KILL)}
	}()
	got := <-said
	if !strings.Contains(got[0], "give it CAP_SETUID and CAP_SETGID") || !strings.Contains(got[1], "give it CAP_KILL, to end it") {
		t.Errorf("found %q", got)
	}
}

// withoutCapability probes on a thread that has lost a right.
func withoutCapability(t *testing.T, bit int) string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	if err := unix.Capget(&header, &had[0]); err != nil {
		t.Error(err)
	}
	lacks := had
	lacks[bit/32].Effective &^= 1 << (bit % 32)
	if err := unix.Capset(&header, &lacks[0]); err != nil {
		t.Error(err)
	}
	reason := probeUID()
	if err := unix.Capset(&header, &had[0]); err != nil {
		t.Error(err)
	}
	return reason
}

func TestWhyThereIsNoLandlock(t *testing.T) {
	for want, c := range map[string]struct {
		version int
		number  syscall.Errno
	}{
		"": {version: 3}, "the kernel has none": {-1, unix.ENOSYS}, "it was turned off when the machine started: add landlock to lsm= of the kernel's command line": {-1, unix.EOPNOTSUPP},
		"not permitted to this host: operation not permitted":                                   {-1, unix.EPERM},
		"the kernel has version 2, which cannot keep files from being cut short: Linux 6.2 can": {version: 2},
	} {
		if got := landlockFault(c.version, c.number); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

func TestWhichSettingForbidsUserNamespaces(t *testing.T) {
	for want, settings := range map[string]map[string]string{
		" to this host": {"unprivileged_userns_clone": "1\n", "apparmor_restrict_unprivileged_userns": "0\n"},
		": kernel.unprivileged_userns_clone is 0":             {"unprivileged_userns_clone": "0\n"},
		": kernel.apparmor_restrict_unprivileged_userns is 1": {"unprivileged_userns_clone": "1\n", "apparmor_restrict_unprivileged_userns": "1\n"},
	} {
		dir := t.TempDir()
		for name, value := range settings {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := whyNotPermitted(dir); got != want {
			t.Errorf("%v: %q", settings, got)
		}
	}
}

func TestALauncherThatCannotIsolateRefuses(t *testing.T) {
	l, p := setup(t)
	got := l.Isolation()
	for _, a := range skalds.Abilities() {
		if _, said := got[a]; !said {
			t.Errorf("nothing is said of %s", a)
		}
	}
	l.isolation = func() skalds.NodeAbilities {
		return skalds.NodeAbilities{skalds.AbilityNoNewPrivileges: "it is too old"}
	}
	_, err := l.Launch(t.Context(), LaunchSpec{Plugin: p, TaskID: "t", Isolation: skalds.Isolation{NoNewPrivileges: true}})
	if !errors.As(err, new(*IsolationError)) || !contains(err.Error(), "no_new_privs: it is too old") {
		t.Errorf("got %v", err)
	}
}

func TestLookUpAccount(t *testing.T) {
	for in, want := range map[string]Account{"7:8": {7, 8}, "4000000000:1": {4000000000, 1}, "nobody": {anybody, anybody}, "65534": {anybody, anybody}} {
		got, err := LookUpAccount(in)
		if passwd, readErr := os.ReadFile("/etc/passwd"); want.UID == anybody && (readErr != nil || !slices.ContainsFunc(strings.Split(string(passwd), "\n"), func(l string) bool { return strings.HasPrefix(l, "nobody:x:65534:65534:") })) {
			continue // another distribution
		}
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"4000000000": "name its group too, as 4000000000:gid", "no-such-user-here": "there is no user no-such-user-here on this node", "0": "is root", "4000000000:0": "has root's group", "": "is empty",
	} {
		if got, err := LookUpAccount(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v", in, got, err)
		}
	}
	for want, entry := range map[string]user.User{
		"user x is root": {Uid: "0", Gid: "5"}, "user x has root's group on this node, which many files are open to: name another group, as 7:gid": {Uid: "7", Gid: "0"},
		"look up user x": {Uid: "S-1-5", Gid: "5"},
	} {
		if got, err := accountOf("x", &entry); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: got %+v, %v", entry, got, err)
		}
	}
}
