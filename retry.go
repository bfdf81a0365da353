package skalds

import (
	"errors"
	"fmt"
	"time"
)

// Retry says how often and how soon a task is run again after a failure that its worker caused. Failures of the
// infrastructure (node lost, drain, host restart) never count.
type Retry struct {
	MaxAttempts  int      `json:"maxAttempts,omitempty" yaml:"maxAttempts,omitempty"`   // 0: the default, see RetryFor; -1: no limit
	InitialDelay Duration `json:"initialDelay,omitempty" yaml:"initialDelay,omitempty"` // after the first immediate retry; default 1s
	MaxDelay     Duration `json:"maxDelay,omitempty" yaml:"maxDelay,omitempty"`         // cap; default 1m
	Factor       float64  `json:"factor,omitempty" yaml:"factor,omitempty"`             // growth; default 2
	// OOM gives ends for memory a budget of their own; nil: they count like all others.
	OOM *OOMRetry `json:"oom,omitempty" yaml:"oom,omitempty" doc:"a budget of their own for ends for memory, which may raise the memory limit of the next attempt; left out: they count like all failures"`
}

// Defaults of Retry.
const (
	DefaultMaxAttempts  = 3
	DefaultInitialDelay = Duration(time.Second)
	DefaultMaxDelay     = Duration(time.Minute)
	DefaultFactor       = 2.0
	// HealthyAfter is how long an attempt must have run for earlier failures to be forgotten.
	HealthyAfter = time.Minute
	// Unlimited as MaxAttempts means that the task is run again for ever.
	Unlimited = -1
)

// oomRetryFor fills in what o leaves open but for MaxMemoryBytes, whose default depends on the task's first limit. forever is
// that the task is to be run again for ever: a budget for memory does not make it mortal.
func oomRetryFor(o *OOMRetry, forever bool) *OOMRetry {
	if o == nil {
		return nil
	}
	filled := *o
	if filled.MaxAttempts == 0 {
		filled.MaxAttempts = DefaultOOMAttempts
		if forever {
			filled.MaxAttempts = Unlimited
		}
	}
	if filled.Factor == 0 {
		filled.Factor = DefaultOOMFactor
	}
	return &filled
}

// RetryFor fills in what r leaves open. persistent is Task.IsPersistent; workerRetry is TASK_WORKER_RETRY (-1: not set).
func RetryFor(r Retry, persistent bool, workerRetry int) Retry {
	if r.MaxAttempts == 0 {
		switch {
		case persistent:
			r.MaxAttempts = Unlimited
		case workerRetry >= 0:
			r.MaxAttempts = workerRetry + 1
		default:
			r.MaxAttempts = DefaultMaxAttempts
		}
	}
	if r.InitialDelay == 0 {
		r.InitialDelay = DefaultInitialDelay
	}
	if r.MaxDelay == 0 {
		r.MaxDelay = DefaultMaxDelay
	}
	if r.Factor == 0 {
		r.Factor = DefaultFactor
	}
	r.OOM = oomRetryFor(r.OOM, persistent && r.MaxAttempts == Unlimited)
	return r
}

// Validate names every fault at once.
func (r Retry) Validate() error {
	var errs []error
	if r.MaxAttempts < Unlimited {
		errs = append(errs, Field("retry.maxAttempts", fmt.Sprintf("%d is no number of attempts: use 1 or more, or -1 for no limit", r.MaxAttempts)))
	}
	if r.InitialDelay < 0 {
		errs = append(errs, Field("retry.initialDelay", "must not be negative"))
	}
	if r.MaxDelay < 0 {
		errs = append(errs, Field("retry.maxDelay", "must not be negative"))
	}
	if r.Factor != 0 && r.Factor < 1 {
		errs = append(errs, Field("retry.factor", "must be 1 or more"))
	}
	if r.OOM != nil {
		errs = append(errs, r.OOM.validate())
	}
	return errors.Join(errs...)
}

// Timeouts bound a task. Zero means no limit, but for Start, whose default is DefaultStartTimeout.
type Timeouts struct {
	Queue Duration `json:"queue,omitempty" yaml:"queue,omitempty"` // Created → handed to a node
	Start Duration `json:"start,omitempty" yaml:"start,omitempty"` // launch → Main entered
	Run   Duration `json:"run,omitempty" yaml:"run,omitempty"`     // Main entered → ended, paused time not counted
	Stall Duration `json:"stall,omitempty" yaml:"stall,omitempty"` // longest time without a progress unit, once the worker has promised units
}

// DefaultStartTimeout bounds launch, handshake and the start of Main.
const DefaultStartTimeout = 10 * time.Second

// DefaultGrace is how long a worker may take to stop before its tree is killed.
const DefaultGrace = 10 * time.Second

// Validate names every fault at once.
func (t Timeouts) Validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		d    Duration
	}{{"queue", t.Queue}, {"start", t.Start}, {"run", t.Run}, {"stall", t.Stall}} {
		if f.d < 0 {
			errs = append(errs, Field("timeouts."+f.name, "must not be negative"))
		}
	}
	return errors.Join(errs...)
}
