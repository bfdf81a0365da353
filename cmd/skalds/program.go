package main

import (
	"context"

	oklog "github.com/oklog/run"

	"github.com/skalds-go/skalds"
)

// program runs services side by side. The first to be added is the first to end, and each end is waited for: hosts tell the
// controller how their tasks ended, the controller still answers those who ask.
type program struct {
	group  oklog.Group
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// newProgram ends with ctx, or with the first of its services.
func newProgram(ctx context.Context) *program {
	p := &program{}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	p.group.Add(func() error { <-p.ctx.Done(); return nil }, func(error) { p.cancel(skalds.ErrStopping) })
	return p
}

// add adds a service.
func (p *program) add(service func(context.Context) error) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(p.ctx))
	ended := make(chan struct{})
	p.group.Add(func() error { defer close(ended); return service(ctx) }, func(error) { cancel(skalds.ErrStopping); <-ended })
}

// run returns when all have ended.
func (p *program) run() error {
	defer p.cancel(nil)
	return p.group.Run()
}
