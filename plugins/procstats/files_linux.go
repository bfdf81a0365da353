package procstats

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// files are stat and statm of one process, kept open: to read an open one costs less than half, and it never becomes
// another process's, since it cannot be read any more once its process has been reaped.
type files struct{ stat, statm int }

// openFiles opens the files of a process. ok is false where it has gone, or where this process has used half of the
// descriptors that it may have: the others are worth more elsewhere.
func openFiles(id ID) (f files, ok bool) {
	if f.stat, ok = openKept(procPath(id.PID, "stat")); !ok {
		return f, false
	}
	if f.statm, ok = openKept(procPath(id.PID, "statm")); !ok {
		_ = unix.Close(f.stat)
		return f, false
	}
	if p, err := f.read(id.PID); err != nil || p.ID != id { // now, so that the pid was not another's when statm was opened
		f.close()
		return f, false
	}
	return f, true
}

func openKept(path string) (fd int, ok bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(fd) > limit.Cur/2 {
		_ = unix.Close(fd)
		return -1, false
	}
	return fd, true
}

func (f files) close() {
	_ = unix.Close(f.stat)
	_ = unix.Close(f.statm)
}

func (f files) read(pid int) (Process, error) {
	buf := bufs.Get().(*[]byte)
	defer bufs.Put(buf)
	b, err := pread(f.stat, *buf)
	if err != nil {
		return Process{}, err
	}
	return parseStat(pid, b)
}

func (f files) residentBytes(pid int) (own, others int64, err error) {
	buf := bufs.Get().(*[]byte)
	defer bufs.Put(buf)
	b, err := pread(f.statm, *buf)
	if err != nil {
		return 0, 0, err
	}
	return parseStatm(pid, b)
}

// pread reads a file of /proc that is shorter than buf, which the kernel gives in one piece.
func pread(fd int, buf []byte) ([]byte, error) {
	for {
		n, err := unix.Pread(fd, buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ESRCH):
			return nil, os.ErrNotExist
		case err != nil:
			return nil, os.NewSyscallError("pread", err)
		}
		return buf[:n], nil
	}
}
