package skalds

import (
	"errors"
	"fmt"
	"math"
)

// OOMRetry says what becomes of a task whose attempts end for memory (Exit.ForMemory): they count against a budget of their
// own, and each of them may raise the memory limit of the next attempt. The raised limit is reserved on the node, too: what
// the attempt had was too little. An explicit retry starts with the original limit.
type OOMRetry struct {
	// MaxAttempts is how many attempts may end for memory before the task fails; 0: 3, or no limit for a persistent task
	// that Retry.MaxAttempts does not bound; -1: no limit.
	MaxAttempts int `json:"maxAttempts,omitempty" yaml:"maxAttempts,omitempty" doc:"how many attempts may end for memory before the task fails; 0: 3, or no limit for a persistent task that retry.maxAttempts does not bound; -1: no limit"`
	// Factor is the growth of the memory limit from one such attempt to the next; 0: 1.5; 1: the limit stays what it is. A task
	// without a memory limit stays without one.
	Factor float64 `json:"factor,omitempty" yaml:"factor,omitempty" doc:"growth of the memory limit for the next attempt; 0: 1.5; 1: none"`
	// MaxMemoryBytes is the highest that the limit is raised to; 0: four times the first one.
	MaxMemoryBytes int64 `json:"maxMemoryBytes,omitempty" yaml:"maxMemoryBytes,omitempty" doc:"bytes; the highest that the memory limit is raised to; 0: four times the first one"`
}

// Defaults of OOMRetry.
const (
	DefaultOOMAttempts = 3
	DefaultOOMFactor   = 1.5
	// DefaultOOMGrowth times the first memory limit is the highest one where OOMRetry names none.
	DefaultOOMGrowth = 4
)

// maxOOMFactor is the largest growth that can be asked for: beyond it, somebody meant bytes.
const maxOOMFactor = 100

// Next is the memory limit of the attempt that follows one that ended for memory under the limit had; first is what the task
// is held to without growth. 0 is no limit, and stays so. o has its defaults filled in.
func (o *OOMRetry) Next(had, first int64) int64 {
	if had <= 0 {
		return 0
	}
	most := o.MaxMemoryBytes
	if most == 0 {
		most = math.MaxInt64
		if first < math.MaxInt64/DefaultOOMGrowth {
			most = first * DefaultOOMGrowth
		}
	}
	if grown := math.Ceil(float64(had) * o.Factor); grown < float64(most) {
		return max(int64(grown), had)
	}
	return max(most, had)
}

func (o *OOMRetry) validate() error {
	var errs []error
	if o.MaxAttempts < Unlimited {
		errs = append(errs, Field("retry.oom.maxAttempts", fmt.Sprintf("%d is no number of attempts: use 1 or more, or -1 for no limit", o.MaxAttempts)))
	}
	if o.Factor != 0 && !(o.Factor >= 1 && o.Factor <= maxOOMFactor) {
		errs = append(errs, Field("retry.oom.factor", fmt.Sprintf("must be from 1 (the limit stays what it is) to %d", maxOOMFactor)))
	}
	if o.MaxMemoryBytes < 0 {
		errs = append(errs, Field("retry.oom.maxMemoryBytes", "must not be negative"))
	}
	return errors.Join(errs...)
}
