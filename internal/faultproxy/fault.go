package faultproxy

import "time"

// Fault is what is wrong with the way to the service. The zero value is a good way.
type Fault struct {
	// Refuse closes the port: connections that there are get reset, new ones are refused.
	Refuse bool
	// Stall lets no byte pass in either direction, as a service that was stopped: connections stay, and new ones are taken.
	Stall bool
	// Delay is how much later each byte arrives, in each direction: a question and its answer take twice that.
	Delay time.Duration
	// CutAfter resets each connection when so many more bytes have passed through it, both directions counted together, be it
	// in the middle of a message. New connections are treated alike. 0: none is cut.
	CutAfter int64
}
