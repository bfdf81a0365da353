package controller

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Bounds of the audit.
const (
	auditPatience = 200 * time.Millisecond // for which an answer waits for its entry
	auditPause    = time.Second            // between two tries of entries that the store has not taken
	auditTimeout  = 2 * time.Second        // of one try
	maxUnaudited  = 10_000                 // entries that wait; beyond them the log has them
)

// auditor writes who has changed what. An answer waits for its entry a moment only: what the store does not take in time is kept in
// memory and tried again until it does, and the log says so before the answer goes out. What is left at the end of the program is in
// the log as a whole. An entry whose writing had an unclear end may be there twice.
type auditor struct {
	store RecordStore
	log   hclog.Logger
	wake  chan struct{}

	mu      sync.Mutex // guards all below
	open    []AuditEntry
	writing int  // entries that are being written
	failing bool // said once
	ended   bool // nobody tries again
}

func newAuditor(store RecordStore, log hclog.Logger) *auditor {
	return &auditor{store: store, log: log, wake: make(chan struct{}, 1)}
}

// write has an entry written, and waits for that for a moment.
func (a *auditor) write(ctx context.Context, e AuditEntry) {
	a.mu.Lock()
	a.writing++
	a.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
		defer cancel()
		err := a.store.Audit(c, e)
		if err != nil {
			a.keep(e, err)
		}
		a.mu.Lock()
		a.writing--
		a.mu.Unlock()
		poke(a.wake)
	}()
	t := time.NewTimer(auditPatience)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		a.log.Warn("the store is slow: an answer goes out before its audit entry is stored", "action", e.Action, "task_id", e.TaskID, "node_id", e.NodeID, "who", e.Who)
	}
}

// keep keeps an entry that the store has not taken.
func (a *auditor) keep(e AuditEntry, err error) {
	a.mu.Lock()
	full, first := a.ended || len(a.open) >= maxUnaudited, !a.failing
	if !full {
		a.open = append(a.open, e)
	}
	a.failing = true
	a.mu.Unlock()
	switch {
	case full:
		a.lost(e)
	case first:
		a.log.Warn("cannot write the audit: entries are kept until the store takes them", "err", err)
	}
}

// lost puts an entry into the log that will not get into the store.
func (a *auditor) lost(e AuditEntry) {
	doc, err := json.Marshal(e)
	a.log.Error("an entry of the audit is not in the store", "entry", string(doc), "err", err)
}

// next is the entry that has waited longest.
func (a *auditor) next() (e AuditEntry, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) == 0 {
		return AuditEntry{}, false
	}
	return a.open[0], true
}

// busy reports whether entries are being written.
func (a *auditor) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.writing > 0
}

// Run writes what is left to be written until ctx ends, and once more then.
func (a *auditor) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if !a.flush(ctx) {
			rest(ctx, auditPause)
			continue
		}
		select {
		case <-ctx.Done():
		case <-a.wake:
		}
	}
	for a.busy() {
		<-a.wake
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	a.flush(last)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.open {
		a.lost(e)
	}
	a.open, a.ended = nil, true
	return nil
}

// flush writes what waits, the oldest first; it is false where the store does not take it.
func (a *auditor) flush(ctx context.Context) bool {
	for {
		e, ok := a.next()
		if !ok {
			return true
		}
		c, cancel := context.WithTimeout(ctx, auditTimeout)
		err := a.store.Audit(c, e)
		cancel()
		if err != nil {
			return false
		}
		a.mu.Lock()
		a.open = a.open[1:]
		again := len(a.open) == 0 && a.failing
		if again {
			a.failing = false
		}
		a.mu.Unlock()
		if again {
			a.log.Info("the audit is complete again")
		}
	}
}
