package plugins

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipe is our end of a worker's output. It can be left unwatched: the kernel wakes whoever watches a pipe at every write,
// which costs more than reading what was written. One goroutine reads it and says whether it is watched.
type pipe struct {
	mu       sync.Mutex // guards what follows
	file     *os.File   // nil while it is not watched
	fd       int        // while it is not
	deadline time.Time
}

// Read waits for something to read where the pipe is watched; else it returns 0 bytes where nothing is there.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	file, fd, deadline := p.file, p.fd, p.deadline
	p.mu.Unlock()
	if file != nil {
		return file.Read(b)
	}
	if !deadline.IsZero() && time.Now().After(deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	switch n, err := unix.Read(fd, b); {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}

// unwatch leaves the pipe unwatched, if it can be.
func (p *pipe) unwatch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return
	}
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	fd := -1
	if err := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || fd < 0 {
		return
	}
	_ = p.file.Close() // tells the runtime's poller
	p.file, p.fd = nil, fd
}

// watch watches it again.
func (p *pipe) watch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		p.file = os.NewFile(uintptr(p.fd), "worker")
		_ = p.file.SetReadDeadline(p.deadline)
	}
}

// SetReadDeadline ends the reading at that time.
func (p *pipe) SetReadDeadline(at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = at
	if p.file == nil {
		return nil
	}
	return p.file.SetReadDeadline(at)
}

// Close is called once, by the reader.
func (p *pipe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return unix.Close(p.fd)
	}
	return p.file.Close()
}
