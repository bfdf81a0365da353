package sdk

import (
	"encoding/json"
	"fmt"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
	"github.com/skalds-go/skalds/plugin-sdk/schema"
)

// ClassDef is one kind of work that a worker offers. Make it with Class.
type ClassDef struct {
	name       string
	text       string
	concurrent bool
	resources  protocol.Amounts
	limits     protocol.Amounts
	maxPerNode int
	defaults   any

	capabilities func() []string
	schemaOf     func() (json.RawMessage, error)
	newAttempt   func(env attemptEnv) (attempt, error)
}

// Class defines a class by its name and a function that makes a fresh worker for each task. A is the struct of the
// attachments: its json tags are the field names everywhere, its jsonschema tags refine the schema (see package schema).
func Class[A any](name string, newWorker func() Worker[A], opts ...ClassOption) ClassDef {
	d := ClassDef{name: name}
	for _, o := range opts {
		o(&d)
	}
	d.schemaOf = schema.Of[A]
	d.capabilities = func() []string { return capabilitiesOf(newWorker()) }
	d.newAttempt = func(env attemptEnv) (attempt, error) {
		var defaults A
		if d.defaults != nil {
			v, ok := d.defaults.(A)
			if !ok {
				return nil, fmt.Errorf("class %s: Defaults is a %T, its attachments are a %T", name, d.defaults, defaults)
			}
			defaults = v
		}
		w := newWorker()
		if w == nil {
			return nil, fmt.Errorf("class %s: its function made no worker", name)
		}
		return newTaskAttempt(env, w, defaults, d.concurrent), nil
	}
	return d
}

// ClassOption refines a class.
type ClassOption func(*ClassDef)

// Describe adds a sentence for people.
func Describe(text string) ClassOption { return func(d *ClassDef) { d.text = text } }

// ConcurrentHooks makes Update, Pause, Resume and Checkpoint run at once on a goroutine of their own, beside Main.
func ConcurrentHooks() ClassOption { return func(d *ClassDef) { d.concurrent = true } }

// Resources is what a task of the class asks for unless it says otherwise: cores and bytes.
func Resources(cpuCores float64, memoryBytes int64) ClassOption {
	return func(d *ClassDef) { d.resources = protocol.Amounts{CPUCores: cpuCores, MemoryBytes: memoryBytes} }
}

// Limits is what is enforced on a task of the class unless it says otherwise: cores, bytes, and processes and
// threads of its tree, of which a worker alone has about ten; 0 is no limit.
func Limits(cpuCores float64, memoryBytes int64, pids int) ClassOption {
	return func(d *ClassDef) {
		d.limits = protocol.Amounts{CPUCores: cpuCores, MemoryBytes: memoryBytes, PIDs: pids}
	}
}

// MaxPerNode bounds how many tasks of the class one node runs at a time.
func MaxPerNode(n int) ClassOption { return func(d *ClassDef) { d.maxPerNode = n } }

// Defaults is the value into which attachments are decoded; it must be of the class's attachments type.
func Defaults(a any) ClassOption { return func(d *ClassDef) { d.defaults = a } }

// attempt makes an attempt; a panic of the author's function is its error.
func (d *ClassDef) attempt(env attemptEnv) (a attempt, err error) {
	err = guard(func() (err error) { a, err = d.newAttempt(env); return err })
	return a, err
}

func (d *ClassDef) describe() (protocol.Class, error) {
	s, err := d.schemaOf()
	if err != nil {
		return protocol.Class{}, fmt.Errorf("class %s: schema of its attachments: %w", d.name, err)
	}
	var caps []string
	if err := guard(func() error { caps = d.capabilities(); return nil }); err != nil {
		return protocol.Class{}, fmt.Errorf("class %s: make a worker: %w", d.name, err)
	}
	return protocol.Class{
		ClassName: d.name, Description: d.text, Schema: s, Capabilities: caps,
		Resources: d.resources, Limits: d.limits, MaxPerNode: d.maxPerNode,
	}, nil
}

// capabilitiesOf is the one place that knows which hook announces what.
func capabilitiesOf[A any](w Worker[A]) []string {
	caps := []string{protocol.CapabilityUpdate} // without the hook the value is exchanged
	if _, ok := w.(Pauser[A]); ok {
		caps = append(caps, protocol.CapabilityPause)
	}
	if _, ok := w.(Checkpointer[A]); ok {
		caps = append(caps, protocol.CapabilityCheckpoint)
	}
	if _, ok := w.(PressureReliever[A]); ok {
		caps = append(caps, protocol.CapabilityPressure)
	}
	return caps
}
