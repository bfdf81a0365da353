package controller

import (
	"sync"

	"github.com/skalds-go/skalds"
)

// epochMargin is more epochs than a task may have gone through since the backup was made that a store was restored from.
const epochMargin = 1000

// past knows whether the store was set back before this controller began to lead: it is new, or a backup was put into it. What the bus
// holds then is of a time that the store does not know. How tasks have ended is worth to be told all the same. A hello is not: it says
// what ran where, and is over; nor is a farewell. Hosts are asked for another one. The zero value is that of a store like any other.
type past struct {
	mu      sync.Mutex // guards both
	back    bool
	settled map[string]bool // nodes whose hello was settled since
}

// begins says that the store was set back.
func (p *past) begins() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.back, p.settled = true, map[string]bool{}
}

// isOld reports whether a message from before means nothing any more.
func (p *past) isOld(m *skalds.HostMessage) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.back && (m.Hello != nil || m.Bye || m.Gone != nil || m.Edge != nil)
}

// isUnsettled reports whether what the store says of a node has not been compared with it since.
func (p *past) isUnsettled(node string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.back && !p.settled[node]
}

// settle notes that it has.
func (p *past) settle(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.back {
		p.settled[node] = true
	}
}

// margin is what is added to the epoch of a task that is taken back: others may have been used that the store has forgotten.
func (p *past) margin() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.back {
		return 0
	}
	return epochMargin
}
