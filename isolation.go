package skalds

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Isolation is what a task's process is kept from on its node, beyond what holds for all. Zero means nothing; what a node
// cannot do is refused, never left out.
type Isolation struct {
	// User that the process runs as: uid, uid:gid, or the name of a user of the node. Without a gid it has the group of that
	// user. Never root or its group: isolation takes rights away.
	User string `json:"user,omitempty" yaml:"user,omitempty" doc:"whom the process runs as on its node: uid, uid:gid, or the name of a user there, whose group it has where none is given; never root or its group"`
	// Namespaces of its own: it has no rights over other users, signals no other processes and reaches no other networks than its
	// own. What other processes there are can still be read in /proc, which is the node's. With "net" it has no network at all.
	Namespaces []Namespace `json:"namespaces,omitempty" yaml:"namespaces,omitempty" doc:"Linux namespaces of its own. user: no rights over anything that is not its user's; pid: it signals no processes but its own, though /proc lists them, and all that it started ends with it; net: no network at all, not even loopback"`
	// Paths are all that it reaches of the node's files, beside what every worker needs. Nil: whatever its user may.
	Paths *Paths `json:"paths,omitempty" yaml:"paths,omitempty" doc:"all that it reaches of the node's files, beside what every worker needs: its own folders, the system's programs, libraries and certificates; left out: whatever its user may"`
	// NoNewPrivileges takes their effect from set-user-id programs and file capabilities.
	NoNewPrivileges bool `json:"noNewPrivileges,omitempty" yaml:"noNewPrivileges,omitempty" doc:"set-user-id programs and file capabilities have no effect"`
}

// Namespace is a kind of Linux namespace that a task can have of its own.
type Namespace string

// The kinds of namespace.
const (
	NamespaceUser Namespace = "user"
	NamespacePID  Namespace = "pid"
	NamespaceNet  Namespace = "net"
)

// Paths are files and folders, with everything below them. All others are denied, but for what every worker needs: the
// folders of its plugin (never to write), its task and its instance, and the system's libraries and certificates.
type Paths struct {
	ReadOnly  []string `json:"readOnly,omitempty" yaml:"readOnly,omitempty" doc:"absolute paths of files and folders, with everything below them, to read and execute"`
	ReadWrite []string `json:"readWrite,omitempty" yaml:"readWrite,omitempty" doc:"likewise, to read and write; not / itself"`
}

// IsZero reports whether nothing is asked for.
func (i Isolation) IsZero() bool {
	return i.User == "" && len(i.Namespaces) == 0 && i.Paths == nil && !i.NoNewPrivileges
}

// Needs are the abilities that a node must have for it, in the order of Abilities.
func (i Isolation) Needs() []Ability {
	if i.IsZero() {
		return nil
	}
	var needs []Ability
	for _, n := range []struct {
		ability Ability
		asked   bool
	}{
		{AbilityUID, i.User != ""},
		{AbilityUserNamespace, slices.Contains(i.Namespaces, NamespaceUser)},
		{AbilityPIDNamespace, slices.Contains(i.Namespaces, NamespacePID)},
		{AbilityNetNamespace, slices.Contains(i.Namespaces, NamespaceNet)},
		{AbilityLandlock, i.Paths != nil},
		{AbilityNoNewPrivileges, i.NoNewPrivileges},
	} {
		if n.asked {
			needs = append(needs, n.ability)
		}
	}
	return needs
}

// Validate names every fault at once.
func (i Isolation) Validate() error {
	if n := jsonSize(i); n > maxIsolationBytes {
		return Field("isolation", fmt.Sprintf("%d bytes as JSON are more than the %d allowed", n, maxIsolationBytes))
	}
	var errs []error
	if i.User != "" {
		if _, err := ParseUser(i.User); err != nil {
			errs = append(errs, Field("isolation.user", err.Error()))
		}
	}
	for at, n := range i.Namespaces {
		field := fmt.Sprintf("isolation.namespaces.%d", at)
		switch n {
		case NamespaceUser, NamespacePID, NamespaceNet:
			if slices.Index(i.Namespaces, n) < at {
				errs = append(errs, Field(field, quoted(n)+" is there twice"))
			}
		default:
			errs = append(errs, Field(field, quoted(n)+" is none of user, pid, net"))
		}
	}
	if i.Paths == nil {
		return errors.Join(errs...)
	}
	seen := map[string]string{}
	for _, list := range []struct {
		name  string
		paths []string
	}{{"readOnly", i.Paths.ReadOnly}, {"readWrite", i.Paths.ReadWrite}} {
		for at, p := range list.paths {
			if fault := pathFault(p, list.name == "readWrite", seen[p]); fault != "" {
				errs = append(errs, Field(fmt.Sprintf("isolation.paths.%s.%d", list.name, at), fault))
			}
			seen[p] = list.name
		}
	}
	for at, p := range i.Paths.ReadOnly {
		for _, w := range i.Paths.ReadWrite {
			if w != "/" && strings.HasPrefix(p, w+"/") { // which is refused as it is
				errs = append(errs, Field(fmt.Sprintf("isolation.paths.readOnly.%d", at), quoted(p)+" lies below "+quoted(w)+", which is to be written with all below it"))
			}
		}
	}
	return errors.Join(errs...)
}

// pathFault says what is wrong with a path; seen is the list in which it was met before.
func pathFault(p string, writable bool, seen string) string {
	switch {
	case p == "":
		return "is empty: name a file or a folder"
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return quoted(p) + " has a control character"
	case !path.IsAbs(p):
		return quoted(p) + " is not absolute: it must begin with /"
	case path.Clean(p) != p:
		return quoted(p) + " must be written without . and .. and needless slashes: " + quoted(path.Clean(p))
	case seen != "":
		return quoted(p) + " stands in " + seen + " already"
	case writable && p == "/":
		return "everything to read and write is no isolation: name what it must write, or leave paths out"
	}
	return ""
}

// clone is a copy that shares nothing with i.
func (i Isolation) clone() Isolation {
	i.Namespaces = slices.Clone(i.Namespaces)
	if i.Paths != nil {
		i.Paths = &Paths{slices.Clone(i.Paths.ReadOnly), slices.Clone(i.Paths.ReadWrite)}
	}
	return i
}

// User is whom a process runs as, as it is written: by number or by name.
type User struct {
	Name   string // to be looked up on the node; empty: UID counts
	UID    uint32
	GID    uint32
	HasGID bool // else the group of the user
}

// maxUserName is the length of the longest name of a user on Linux, and some room for directories of a company.
const maxUserName = 64

// ParseUser reads "1000", "1000:1000" or the name of a user. Neither root nor its group is one.
func ParseUser(s string) (User, error) {
	if s == "" {
		return User{}, errors.New("is empty: write uid, uid:gid or the name of a user")
	}
	if s[0] >= '0' && s[0] <= '9' {
		uid, gid, hasGID := strings.Cut(s, ":")
		u := User{HasGID: hasGID}
		var err error
		if u.UID, err = parseUserNumber(uid); err == nil && hasGID {
			u.GID, err = parseUserNumber(gid)
		}
		if err != nil {
			return User{}, fmt.Errorf("%s is no user: write uid, uid:gid or the name of a user of the node", quoted(s))
		}
		if u.UID == 0 {
			return User{}, errRoot
		}
		if hasGID && u.GID == 0 {
			return User{}, errRootGroup
		}
		return u, nil
	}
	if s == "root" {
		return User{}, errRoot
	}
	if len(s) > maxUserName || s[0] == '-' || strings.ContainsFunc(s, notInUserName) {
		return User{}, fmt.Errorf("%s is no user: write uid, uid:gid or the name of a user of the node", quoted(s))
	}
	return User{Name: s}, nil
}

var (
	errRoot      = errors.New("is root, which would take nothing away: name another user")
	errRootGroup = errors.New("has root's group, which many files of the system are open to: name another group")
)

func notInUserName(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && !strings.ContainsRune("_-.@$", r)
}

// parseUserNumber reads digits only. The highest number means "leave it as it is" to the kernel.
func parseUserNumber(s string) (uint32, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}
