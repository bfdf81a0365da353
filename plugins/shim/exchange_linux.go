package shim

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// state is all that a shim knows, for the program that takes its place in the same process: the children stay.
type state struct {
	Host      int                   `json:"host"`
	Lease     int64                 `json:"lease,omitempty"`
	Farewell  json.RawMessage       `json:"farewell,omitempty"`
	Instances []*instance           `json:"instances,omitempty"`
	Clearing  map[uint64]*clearance `json:"clearing,omitempty"`
	Queue     []reply               `json:"queue,omitempty"`
	Past      map[string]pastMark   `json:"past,omitempty"`
}

// exchange runs another file in this process, by default the one that it was started from, as it is now. It returns only
// where that fails, and then everything is as before.
func (s *server) exchange(path string) error {
	if path == "" {
		path = "/proc/self/exe"
	}
	s.queue = append(s.queue, reply{Kind: kindChanged}) // told by the one that comes
	st := state{Host: s.host.fd, Lease: s.lease, Farewell: s.farewell, Clearing: s.clearing, Queue: s.queue, Past: s.past}
	keep := []int{s.host.fd}
	for _, i := range s.instances {
		st.Instances = append(st.Instances, i)
		keep = append(keep, i.Live)
	}
	err := handOver(path, st, keep)
	s.queue = s.queue[:len(s.queue)-1]
	for _, fd := range keep {
		unix.CloseOnExec(fd)
	}
	return fmt.Errorf("run %s in place: %w", path, err)
}

func handOver(path string, st state, keep []int) error {
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("skalds-shim", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "state")
	defer func() { _ = f.Close() }()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	for _, fd := range append(keep, fd) {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	return unix.Exec(path, []string{os.Args[0], argument, "-"}, append(os.Environ(), stateFD+"="+strconv.Itoa(fd)))
}

func (s *server) restore(st state) {
	s.host, s.lease, s.farewell, s.clearing, s.queue, s.past = socket{st.Host}, st.Lease, st.Farewell, st.Clearing, st.Queue, st.Past
	unix.CloseOnExec(st.Host)
	for _, i := range st.Instances {
		unix.CloseOnExec(i.Live)
		s.instances[i.ID], s.byPID[i.PID] = i, i
	}
	s.silence.heard(time.Now())
}
