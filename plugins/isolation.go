package plugins

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"github.com/skalds-go/skalds"
)

// ProbeIsolation tries what this machine can do for the isolation of a task. It forks a few times and executes nothing,
// which takes some milliseconds.
func ProbeIsolation() skalds.NodeAbilities { return probeIsolation() }

// Isolation says what this machine can do for the isolation of a task, as it was when it was asked for the first time.
func (l *Launcher) Isolation() skalds.NodeAbilities { return l.isolation() }

// Account is a user of this machine by its numbers.
type Account struct{ UID, GID uint32 }

// LookUpAccount finds the user that an Isolation names. It is never root, nor in root's group.
func LookUpAccount(name string) (Account, error) {
	u, err := skalds.ParseUser(name)
	if err != nil {
		return Account{}, err
	}
	if u.Name == "" && u.HasGID {
		return Account{u.UID, u.GID}, nil
	}
	var entry *user.User
	if u.Name == "" {
		entry, err = user.LookupId(strconv.FormatUint(uint64(u.UID), 10))
	} else {
		entry, err = user.Lookup(u.Name)
	}
	var noName user.UnknownUserError
	var noID user.UnknownUserIdError
	switch {
	case errors.As(err, &noID):
		return Account{}, fmt.Errorf("user %d has no entry on this node: name its group too, as %d:gid", u.UID, u.UID)
	case errors.As(err, &noName):
		return Account{}, fmt.Errorf("there is no user %s on this node", u.Name)
	case err != nil:
		return Account{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	return accountOf(name, entry)
}

// accountOf refuses an entry that gives what isolation is to take away.
func accountOf(name string, entry *user.User) (Account, error) {
	uid, err := strconv.ParseUint(entry.Uid, 10, 32)
	if err != nil {
		return Account{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	gid, err := strconv.ParseUint(entry.Gid, 10, 32)
	if err != nil {
		return Account{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	if uid == 0 {
		return Account{}, fmt.Errorf("user %s is root on this node, which would take nothing away", name)
	}
	if gid == 0 {
		return Account{}, fmt.Errorf("user %s has root's group on this node, which many files are open to: name another group, as %d:gid", name, uid)
	}
	return Account{uint32(uid), uint32(gid)}, nil
}

// IsolationError says that this machine cannot keep a task from what it shall be kept from. The worker is not to blame, and
// what was asked for is never left out.
type IsolationError struct {
	Field string // of the task, such as isolation.user
	Err   error
}

func (e *IsolationError) Error() string { return e.Err.Error() }

func (e *IsolationError) Unwrap() error { return e.Err }
