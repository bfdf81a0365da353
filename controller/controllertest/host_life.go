package controllertest

import (
	"github.com/skalds-go/skalds"
)

// Start starts the host under a new incarnation.
func (h *Host) Start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.incarnation++
	h.beatSeq, h.reportSeq, h.leaving = 0, 0, false
	h.running = map[string]*instance{}
	h.frozen = false
	h.inbox = h.bus.Inbox(h.ID)
	h.begin(func() { h.said = 0; h.beat(); h.anew() })
}

// CountFrom has the next start count on from there, as with a folder of its own.
func (h *Host) CountFrom(incarnation int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.incarnation = incarnation
}

// begin has the host work. The mutex is held.
func (h *Host) begin(first func()) {
	h.stop, h.done = make(chan struct{}), make(chan struct{})
	go h.run(h.inbox, first, h.stop, h.done)
}

// Crash is Kill where somebody watches over the host: it returns what that one would tell the controllers, one message that says
// no more than that the host is gone, and one for each process that is dead.
func (h *Host) Crash() []skalds.HostMessage {
	if !h.halt() {
		return nil
	}
	told := h.gone(false)
	h.bury()
	return told
}

// Freeze stops the host as SIGSTOP does, where somebody watches over it and kills its processes; it returns what that one
// would tell.
func (h *Host) Freeze() []skalds.HostMessage {
	if !h.halt() {
		return nil
	}
	told := h.gone(true)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen = true
	for _, in := range h.inOrder() {
		h.watch(in, false)
		in.dead = true
	}
	return told
}

// Thaw lets a frozen host go on, in the same incarnation: it finds its processes dead, and gives their tasks back.
func (h *Host) Thaw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.frozen {
		return
	}
	h.frozen = false
	h.begin(func() {
		for _, in := range h.inOrder() {
			h.end(in, skalds.Report{State: skalds.Created, GoneFor: "lease_lost"}, &skalds.Exit{Kind: skalds.ExitLeaseLost})
		}
		h.lease() // before anything is taken: it may be an old word
	})
}

func (h *Host) gone(silent bool) []skalds.HostMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := func(tasks ...skalds.GoneTask) skalds.HostMessage {
		return skalds.HostMessage{NodeID: h.ID, Incarnation: h.incarnation, Gone: &skalds.HostGone{Tasks: tasks, Silent: silent}}
	}
	told := []skalds.HostMessage{m()}
	for _, in := range h.inOrder() {
		told = append(told, m(skalds.GoneTask{TaskID: in.cmd.TaskID, Epoch: in.cmd.Epoch}))
	}
	return told
}

// Kill ends the host as SIGKILL does: its processes are gone, nothing is said.
func (h *Host) Kill() {
	h.mu.Lock()
	frozen := h.frozen
	h.mu.Unlock()
	if h.halt() || frozen {
		h.bury()
	}
}

// halt ends the host's work where it stands; it reports whether there was any.
func (h *Host) halt() bool {
	h.mu.Lock()
	stop, done := h.stop, h.done
	h.stop = nil
	h.mu.Unlock()
	if stop == nil {
		return false
	}
	close(stop)
	<-done
	return true
}

// bury takes away what a dead host leaves.
func (h *Host) bury() {
	h.bus.Unplug(h.ID)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, in := range h.inOrder() {
		h.watch(in, false)
	}
	h.running, h.waiting, h.frozen = nil, nil, false
}

// Stop ends the host in good order: it gives its tasks back and says goodbye.
func (h *Host) Stop() {
	h.mu.Lock()
	h.leaving = true
	for _, in := range h.inOrder() {
		h.end(in, skalds.Report{State: skalds.Created, GoneFor: "host_stop"}, &skalds.Exit{Kind: skalds.ExitHostStop})
	}
	h.send(skalds.HostMessage{Bye: true})
	h.mu.Unlock()
	h.Kill()
}

// SetCut separates the host from bus and heartbeat store, or connects it again.
func (h *Host) SetCut(cut bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cut == cut {
		return
	}
	h.cut = cut
	if !cut && h.stop != nil {
		h.anew()
	}
}
