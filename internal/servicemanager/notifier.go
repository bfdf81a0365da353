package servicemanager

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Variables by which a service manager says where it listens, and how often it wants to hear that we are alive.
const (
	envSocket      = "NOTIFY_SOCKET"
	envWatchdog    = "WATCHDOG_USEC"
	envWatchdogPID = "WATCHDOG_PID"
)

// sendWithin bounds one message: a manager that does not read must not hold us up.
const sendWithin = time.Second

// Notifier speaks to the service manager. The nil Notifier is that of a program that has none: it says nothing and fails
// never. It is safe for concurrent use.
type Notifier struct {
	addr     string
	watchdog time.Duration
}

// Take reads the environment and takes the service manager's variables out of it, so that children do not inherit them. It
// returns nil where there is no service manager, and an error, beside a nil Notifier, where the variables cannot be
// understood. pid is this process: a watchdog that is meant for another one is none.
func Take(getenv func(string) string, unsetenv func(string) error, pid int) (*Notifier, error) {
	addr, usec, of := getenv(envSocket), getenv(envWatchdog), getenv(envWatchdogPID)
	for _, name := range []string{envSocket, envWatchdog, envWatchdogPID} {
		if err := unsetenv(name); err != nil {
			return nil, fmt.Errorf("take %s out of the environment: %w", name, err)
		}
	}
	if addr == "" {
		return nil, nil
	}
	if len(addr) < 2 || addr[0] != '/' && addr[0] != '@' {
		return nil, fmt.Errorf("%s=%q: only a Unix socket is understood, an absolute path or a name behind @: nothing is told to the service manager", envSocket, addr)
	}
	n := &Notifier{addr: addr}
	if usec == "" || of != "" && of != strconv.Itoa(pid) {
		return n, nil
	}
	us, err := strconv.ParseUint(usec, 10, 63)
	if err != nil || us == 0 || us > uint64((1<<63-1)/time.Microsecond) {
		return nil, fmt.Errorf("%s=%q is no number of microseconds: nothing is told to the service manager", envWatchdog, usec)
	}
	n.watchdog = time.Duration(us) * time.Microsecond
	return n, nil
}

// Watchdog is how long the manager waits for Alive before it kills this program; 0: it does not.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready says that the program is up, and how it is.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", "STATUS="+line(status)) }

// Status says in one line how the program is, for people.
func (n *Notifier) Status(text string) error { return n.send("STATUS=" + line(text)) }

// Stopping says that the program has begun to end.
func (n *Notifier) Stopping(why string) error { return n.send("STOPPING=1", "STATUS="+line(why)) }

// Alive feeds the watchdog.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// line keeps a text from being taken for several assignments.
func line(text string) string { return strings.Join(strings.Fields(text), " ") }

func (n *Notifier) send(assignments ...string) error {
	if n == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.addr, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager at %s: %w", n.addr, err)
	}
	defer func() { _ = conn.Close() }() // a datagram is sent or not
	if err := conn.SetWriteDeadline(time.Now().Add(sendWithin)); err != nil {
		return fmt.Errorf("tell the service manager at %s: %w", n.addr, err)
	}
	if _, err := conn.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager at %s: %w", n.addr, err)
	}
	return nil
}
