package sdk

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// parentEvery is the time between two looks at the parent. A look costs some ten microseconds.
	parentEvery = 600 * time.Millisecond
	// parentLooks is in how many looks in a row a parent must be seen stopped: one who stops a whole family and lets it go on
	// may let the children go first.
	parentLooks = 2
)

// parent is the process that supervises this one. Its death tells itself, but one that is stopped keeps the liveness pipe
// open and supervises nobody, and no signal tells its children.
type parent struct {
	stat    int // descriptor, tied to the process and not to its number
	stopped int // looks in a row
	buf     [128]byte
}

// openParent opens the state of a process. That of its first thread alone is cheaper than that of the process, for which the
// kernel adds up all threads, and a stop stops all.
func openParent(pid int) (*parent, error) {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return nil, err
	}
	if self != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("/proc numbers processes otherwise: this is %s there and %d here", self, os.Getpid())
	}
	path := fmt.Sprintf("/proc/%d/task/%d/stat", pid, pid)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return &parent{stat: fd}, nil
}

// look reports whether the parent was seen stopped often enough. It fails when the parent has gone.
func (p *parent) look() (still bool, err error) {
	n, err := unix.Pread(p.stat, p.buf[:], 0)
	if err != nil {
		return false, err
	}
	if isStopped(p.buf[:n]) {
		p.stopped++
	} else {
		p.stopped = 0
	}
	return p.stopped >= parentLooks, nil
}

// isStopped reads the head of a stat file: "pid (name) state …". A process that is traced (t) is being looked at by somebody
// who will let it go on.
func isStopped(stat []byte) bool {
	i := bytes.LastIndexByte(stat, ')') // the name may hold anything
	return i >= 0 && len(stat) > i+2 && stat[i+2] == 'T'
}

// watchParent calls end when the parent, whose number is host, stands still or has gone. Where there is nobody to look at it
// returns: a parent beyond the own pid namespace has the number 0, and 1 is nobody's supervisor.
func watchParent(host int, end func()) error {
	if host <= 1 {
		return nil
	}
	p, err := openParent(host)
	if err != nil {
		return err
	}
	go func() {
		defer func() { _ = unix.Close(p.stat) }()
		for os.Getppid() == host {
			time.Sleep(parentEvery) // nothing tells that a parent was stopped
			if still, err := p.look(); still {
				break
			} else if err != nil && os.Getppid() == host {
				return // it cannot be read any more, and lives
			}
		}
		end()
	}()
	return nil
}
