package plugins

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/skalds-go/skalds"
)

func probeIsolation() skalds.NodeAbilities {
	return skalds.NodeAbilities{
		skalds.AbilityUID:             probeUID(),
		skalds.AbilityUserNamespace:   probeNamespace("user", unix.CLONE_NEWUSER),
		skalds.AbilityPIDNamespace:    probeNamespace("pid", unix.CLONE_NEWPID),
		skalds.AbilityNetNamespace:    probeNamespace("net", unix.CLONE_NEWNET),
		skalds.AbilityLandlock:        probeLandlock(),
		skalds.AbilityNoNewPrivileges: probeNoNewPrivileges(),
	}
}

// tryFork forks with attr and reports why that did not work. The child never becomes another program: its path is longer
// than any may be, which the kernel says of nothing that comes before.
func tryFork(attr *syscall.SysProcAttr) error {
	p, err := os.StartProcess(strings.Repeat("x", unix.PathMax+1), []string{"skalds"}, &os.ProcAttr{Sys: attr})
	if err == nil {
		_, err = p.Wait()
		return errors.Join(errors.New("an impossible program was executed"), err)
	}
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err
	}
	if number == unix.ENAMETOOLONG {
		return nil
	}
	return number
}

// anybody is the user that machines keep for what belongs to no user.
const anybody = 65534

// overOthers is what a host must be allowed, beside the change itself, to look after a process of another user.
var overOthers = []struct {
	bit  int
	name string
	why  string
}{
	{unix.CAP_CHOWN, "CAP_CHOWN", "give it its folders"},
	{unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "reach its folders"},
	{unix.CAP_KILL, "CAP_KILL", "end it"},
	{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "measure it, and find what a killed host has left"},
}

func probeUID() string {
	dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	err := tryFork(&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: anybody, Gid: anybody}})
	if dumpable == 1 { // the child shares our memory until it executes, and a change of user marks that
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	}
	switch {
	case errors.Is(err, unix.EPERM) && os.Geteuid() != 0:
		return "only root can change users"
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM) && groupsAreFixed():
		return "this host runs in a user namespace that knows no other users"
	case errors.Is(err, unix.EPERM):
		return "this host is root, but may not change users: give it CAP_SETUID and CAP_SETGID"
	case err != nil:
		return "cannot change users: " + err.Error()
	}
	allowed, err := effectiveCapabilities()
	if err != nil {
		return "this host cannot tell what it may do: " + err.Error()
	}
	for _, c := range overOthers {
		if allowed&(1<<c.bit) == 0 {
			return fmt.Sprintf("this host could not look after a process of another user: give it %s, to %s", c.name, c.why)
		}
	}
	return ""
}

// groupsAreFixed is so in user namespaces that were made without privileges.
func groupsAreFixed() bool {
	b, err := os.ReadFile("/proc/self/setgroups")
	return err == nil && strings.TrimSpace(string(b)) == "deny"
}

func effectiveCapabilities() (uint64, error) {
	var halves [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &halves[0]); err != nil {
		return 0, err
	}
	return uint64(halves[1].Effective)<<32 | uint64(halves[0].Effective), nil
}

// probeNamespace tries a kind of namespace, inside a new user namespace where this host may not do it otherwise.
func probeNamespace(kind string, flag uintptr) string {
	err := tryFork(namespaceAttr(flag))
	if flag != unix.CLONE_NEWUSER && errors.Is(err, unix.EPERM) {
		err = tryFork(namespaceAttr(flag | unix.CLONE_NEWUSER))
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return "the kernel has none"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return fmt.Sprintf("no more of them may be made: see user.max_%s_namespaces", kind)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "not permitted" + whyNotPermitted("/proc/sys/kernel")
	}
	return "cannot be made: " + err.Error()
}

// namespaceAttr asks for new namespaces. In a user namespace the process keeps its numbers; all others are nobody.
func namespaceAttr(flags uintptr) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: flags}
	if flags&unix.CLONE_NEWUSER != 0 {
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// whyNotPermitted names the switch with which a distribution keeps user namespaces from everybody but root.
func whyNotPermitted(settings string) string {
	for _, s := range []struct{ name, forbids string }{
		{"unprivileged_userns_clone", "0"},
		{"apparmor_restrict_unprivileged_userns", "1"},
	} {
		if b, err := os.ReadFile(settings + "/" + s.name); err == nil && strings.TrimSpace(string(b)) == s.forbids {
			return fmt.Sprintf(": kernel.%s is %s", s.name, s.forbids)
		}
	}
	return " to this host"
}

// leastLandlock is the first version that keeps files from being cut short as well (Linux 6.2): before it, paths that are
// denied are not safe.
const leastLandlock = 3

func probeLandlock() string {
	version, _, number := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return landlockFault(int(version), number)
}

func landlockFault(version int, number syscall.Errno) string {
	switch {
	case number == unix.ENOSYS:
		return "the kernel has none"
	case number == unix.EOPNOTSUPP:
		return "it was turned off when the machine started: add landlock to lsm= of the kernel's command line"
	case number != 0:
		return "not permitted to this host: " + number.Error()
	case version < leastLandlock:
		return "the kernel has version " + strconv.Itoa(version) + ", which cannot keep files from being cut short: Linux 6.2 can"
	}
	return ""
}

func probeNoNewPrivileges() string {
	if _, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil {
		return "the kernel does not know of it: " + err.Error()
	}
	return ""
}
