package conf

import (
	"encoding"
	"errors"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/skalds-go/skalds"
)

// entryReader reads one task of a workers file and collects all that is wrong with it.
type entryReader struct {
	doc    *document
	field  string // "TaskWorkers.<id>"
	at     *yaml.Node
	places map[string]*yaml.Node // by field of the spec
	spec   skalds.Spec
	faults []error
	merges int // mappings merged in so far
}

// maxMerges bounds what one entry may merge in: aliases can make a small file huge.
const maxMerges = 100

// notYet are fields of a task whose behaviour does not exist: they are refused rather than ignored.
var notYet = map[string]string{
	"survive":          "leave it out",
	"dependencies":     "create the task when those it needs have finished",
	"deadlineDateTime": "use timeouts.run to bound a task",
}

// keyed is what to do with the value of each key of a mapping.
type keyed map[string]func(n *yaml.Node, field string)

func (r *entryReader) read(n *yaml.Node) {
	keys := keyed{
		"className":    r.text(&r.spec.ClassName),
		"attachments":  r.attachments,
		"isPersistent": r.boolean(&r.spec.IsPersistent),
		"name":         r.text(&r.spec.Name),
		"description":  r.text(&r.spec.Description),
		"version":      r.text(&r.spec.Version),
		"priority":     r.integer(&r.spec.Priority),
		"onDisconnect": r.text((*string)(&r.spec.OnDisconnect)),
		"labels":       r.labels,
		"constraints":  r.constraints,
		"resources": r.mapping(keyed{
			"cpuCores":    r.cpu(&r.spec.Resources.CPUCores),
			"memoryBytes": r.size(&r.spec.Resources.MemoryBytes),
		}),
		"limits": r.mapping(keyed{
			"cpuCores":    r.cpu(&r.spec.Limits.CPUCores),
			"memoryBytes": r.size(&r.spec.Limits.MemoryBytes),
			"pids":        r.integer(&r.spec.Limits.PIDs),
			"ioWeight":    r.integer(&r.spec.Limits.IOWeight),
		}),
		"retry": r.mapping(keyed{
			"maxAttempts":  r.integer(&r.spec.Retry.MaxAttempts),
			"initialDelay": r.parsed(&r.spec.Retry.InitialDelay),
			"maxDelay":     r.parsed(&r.spec.Retry.MaxDelay),
			"factor":       r.number(&r.spec.Retry.Factor),
			"oom":          r.oom,
		}),
		"timeouts": r.mapping(keyed{
			"queue": r.parsed(&r.spec.Timeouts.Queue),
			"start": r.parsed(&r.spec.Timeouts.Start),
			"run":   r.parsed(&r.spec.Timeouts.Run),
			"stall": r.parsed(&r.spec.Timeouts.Stall),
		}),
		"isolation": r.mapping(keyed{
			"user":            r.text(&r.spec.Isolation.User),
			"namespaces":      list(r, &r.spec.Isolation.Namespaces),
			"paths":           r.paths,
			"noNewPrivileges": r.boolean(&r.spec.Isolation.NoNewPrivileges),
		}),
	}
	if r.doc.inList(r.at, n) {
		keys["id"] = func(*yaml.Node, string) {}
	}
	r.mapping(keys)(n, "")
	if len(r.faults) == 0 {
		r.faultsOf(r.spec.Validate())
	}
}

// inList reports whether the id at stands within the entry, as it does in a list of tasks.
func (d *document) inList(at, entry *yaml.Node) bool {
	m := resolved(entry)
	if at == entry {
		return true
	}
	v, _ := member(m, "id")
	return v != nil && v == at
}

// mapping reads a mapping whose keys are known.
func (r *entryReader) mapping(keys keyed) func(*yaml.Node, string) {
	return func(n *yaml.Node, field string) {
		m := resolved(n)
		if m.Kind != yaml.MappingNode {
			r.fault(n, field, "must be a mapping of keys and values")
			return
		}
		r.members(m, field, keys, map[string]bool{}, 0)
	}
}

// members reads the keys of m, then those that it merges in by "<<": what stands nearer wins.
func (r *entryReader) members(m *yaml.Node, field string, keys keyed, seen map[string]bool, depth int) {
	prefix := field
	if prefix != "" {
		prefix += "."
	}
	here := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if here[key.Value] {
			r.fault(key, prefix+key.Value, "this key is there twice")
			continue
		}
		here[key.Value] = true
		if seen[key.Value] {
			continue
		}
		seen[key.Value] = true
		read, known := keys[key.Value]
		switch advice, refused := notYet[key.Value]; {
		case known:
			r.places[prefix+key.Value] = value
			read(value, prefix+key.Value)
		case refused && field == "":
			r.fault(key, key.Value, "is not supported yet: %s", advice)
		default:
			r.fault(key, prefix+key.Value, "unknown key: %s", didYouMean(key.Value, sortedKeys(keys)))
		}
	}
	for _, v := range merged {
		sources := []*yaml.Node{v}
		if s := resolved(v); s.Kind == yaml.SequenceNode {
			sources = s.Content
		}
		for _, s := range sources {
			if s = resolved(s); s.Kind != yaml.MappingNode {
				r.fault(v, field, "<< can only merge a mapping")
				return
			}
			if r.merges++; r.merges > maxMerges || depth > maxMerges {
				r.fault(v, field, "too much is merged in by <<")
				return
			}
			r.members(s, field, keys, seen, depth+1)
		}
	}
}

// oom reads retry.oom, which is asked for by its being there, be it empty.
func (r *entryReader) oom(n *yaml.Node, field string) {
	if isNull(resolved(n)) {
		return
	}
	r.spec.Retry.OOM = &skalds.OOMRetry{}
	r.mapping(keyed{
		"maxAttempts":    r.integer(&r.spec.Retry.OOM.MaxAttempts),
		"factor":         r.number(&r.spec.Retry.OOM.Factor),
		"maxMemoryBytes": r.size(&r.spec.Retry.OOM.MaxMemoryBytes),
	})(n, field)
}

func (r *entryReader) attachments(n *yaml.Node, field string) {
	if isNull(resolved(n)) {
		return
	}
	if resolved(n).Kind != yaml.MappingNode {
		r.fault(n, field, "must be a mapping of keys and values")
		return
	}
	doc, err := toJSON(n)
	var at *nodeError
	switch {
	case errors.As(err, &at):
		r.fault(at.node, field, "%s", at.message)
	case err != nil:
		r.fault(n, field, "%v", err)
	default:
		r.spec.Attachments = doc
	}
}

// plain calls fn with the text of a scalar.
func (r *entryReader) plain(fn func(s string) error) func(*yaml.Node, string) {
	return func(n *yaml.Node, field string) {
		s := resolved(n)
		if s.Kind != yaml.ScalarNode {
			r.fault(n, field, "must be a single value")
			return
		}
		if isNull(s) {
			return // "key:" says nothing
		}
		if err := fn(s.Value); err != nil {
			r.fault(n, field, "%v", err)
		}
	}
}

func (r *entryReader) text(into *string) func(*yaml.Node, string) {
	return r.plain(func(s string) error { *into = s; return nil })
}

func (r *entryReader) parsed(into encoding.TextUnmarshaler) func(*yaml.Node, string) {
	return r.plain(func(s string) error { return into.UnmarshalText([]byte(s)) })
}

func (r *entryReader) boolean(into *bool) func(*yaml.Node, string) {
	return r.plain(func(s string) (err error) { *into, err = parseBool(s); return err })
}

func (r *entryReader) integer(into *int) func(*yaml.Node, string) {
	return r.plain(func(s string) (err error) { *into, err = parseInt(s); return err })
}

func (r *entryReader) number(into *float64) func(*yaml.Node, string) {
	return r.plain(func(s string) error {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || v != v || v > 1e9 || v < -1e9 {
			return errors.New(strconv.Quote(s) + " is no number")
		}
		*into = v
		return nil
	})
}

func (r *entryReader) cpu(into *float64) func(*yaml.Node, string) {
	return r.plain(func(s string) error {
		var c CPU
		if err := c.UnmarshalText([]byte(s)); err != nil {
			return err
		}
		*into = float64(c)
		return nil
	})
}

func (r *entryReader) size(into *int64) func(*yaml.Node, string) {
	return r.plain(func(s string) error { return (*ByteSize)(into).UnmarshalText([]byte(s)) })
}

func (r *entryReader) labels(n *yaml.Node, field string) {
	m := resolved(n)
	if m.Kind != yaml.MappingNode {
		r.fault(n, field, "must be a mapping, e.g. {zone: a}")
		return
	}
	labels := make(map[string]string, len(m.Content)/2)
	for i := 0; i+1 < len(m.Content); i += 2 {
		key := m.Content[i].Value
		if _, twice := labels[key]; twice {
			r.fault(m.Content[i], field+"."+key, "this key is there twice")
		}
		labels[key] = ""
		var text string
		r.text(&text)(m.Content[i+1], field+"."+key)
		labels[key] = text
	}
	r.spec.Labels = labels
}

// paths are there as soon as the key is: without any, a task reaches nothing but what it needs.
func (r *entryReader) paths(n *yaml.Node, field string) {
	p := &skalds.Paths{}
	r.spec.Isolation.Paths = p
	r.mapping(keyed{"readOnly": list(r, &p.ReadOnly), "readWrite": list(r, &p.ReadWrite)})(n, field)
}

// list reads a list of words, and keeps the place of each.
func list[T ~string](r *entryReader, into *[]T) func(*yaml.Node, string) {
	return func(n *yaml.Node, field string) {
		s := resolved(n)
		if s.Kind != yaml.SequenceNode {
			r.fault(n, field, "must be a list, e.g. [a, b]")
			return
		}
		for i, item := range s.Content {
			var text string
			at := field + "." + strconv.Itoa(i)
			r.places[at] = item
			r.text(&text)(item, at)
			*into = append(*into, T(text))
		}
	}
}

func (r *entryReader) constraints(n *yaml.Node, field string) {
	s := resolved(n)
	if s.Kind != yaml.SequenceNode {
		r.fault(n, field, `must be a list, e.g. ["zone=a", "gpu"]`)
		return
	}
	for _, c := range s.Content {
		var text string
		r.text(&text)(c, field)
		if _, err := skalds.ParseConstraint(text); err != nil {
			r.fault(c, field, "%v", err)
			continue
		}
		r.spec.Constraints = append(r.spec.Constraints, text)
	}
}
