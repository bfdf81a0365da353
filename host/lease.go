package host

import "time"

// leaseMargin is how long before the end of its lease a host kills the tasks that others may run then.
const leaseMargin = time.Second

// leaseGrace is how long after that the host's shim waits before it does so itself: half of what is left.
const leaseGrace = leaseMargin / 2

// lease is the right of a node to run dispatched tasks. It counts from the sending of the last heartbeat that either
// channel acknowledged, in boot time (which goes on while the machine sleeps). Pure: times are handed in, as durations
// since boot.
type lease struct {
	length   time.Duration
	attached bool          // a controller has answered: before that there is no lease to lose
	renewed  time.Duration // sending time of the last acknowledged heartbeat
	lost     bool          // the kill has been ordered and not yet been made good by a renewal
}

// leaseEvent is what a change means for the host.
type leaseEvent int

const (
	leaseNothing  leaseEvent = iota
	leaseExpired             // kill the tasks marked "stop" now
	leaseRegained            // say hello: a controller may hold this node for lost
)

// attach starts the lease: a controller has taken note of this node.
func (l *lease) attach(now time.Duration) {
	if !l.attached {
		l.attached, l.renewed = true, max(now, l.renewed)
	}
}

// acknowledge renews the lease: a heartbeat sent at sentAt has arrived somewhere.
func (l *lease) acknowledge(sentAt time.Duration) leaseEvent {
	l.renewed = max(l.renewed, sentAt)
	if l.lost {
		l.lost = false
		return leaseRegained
	}
	return leaseNothing
}

// check says once that the lease is over.
func (l *lease) check(now time.Duration) leaseEvent {
	if !l.attached || l.lost || now < l.deadline() {
		return leaseNothing
	}
	l.lost = true
	return leaseExpired
}

// holds reports whether dispatched tasks may be started. It does not wait for check to find out that they may not.
func (l *lease) holds(now time.Duration) bool {
	return !l.lost && (!l.attached || now < l.deadline())
}

// deadline is when "stop" tasks are killed.
func (l *lease) deadline() time.Duration { return l.renewed + l.length - leaseMargin }
