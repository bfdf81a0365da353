package conf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/skalds-go/skalds"
)

// tasksKey is the one key of a workers file.
const tasksKey = "TaskWorkers"

// WorkersFile is a TaskWorkers file: the tasks of an edge or single_process host.
type WorkersFile struct {
	Path    string
	Entries []WorkerEntry // in the order of the file
}

// WorkerEntry is one task of the file.
type WorkerEntry struct {
	Line int // from 1, of the task's id
	Spec skalds.Spec
	// Err makes this entry alone unusable; it names the line and the field of every fault. Spec.ID is set nevertheless.
	Err error

	doc      *document
	at, node *yaml.Node // the id, the rest
}

// Fault names the place of something that turned out to be wrong when the entry was used, such as attachments.fps that
// the schema of its class does not allow. A field that the file does not have has the place of what it lacks in.
func (e WorkerEntry) Fault(field, message string) *Fault {
	f := &Fault{Field: tasksKey + "." + e.Spec.ID, Message: message}
	if field != "" {
		f.Field += "." + field
	}
	if e.doc == nil {
		return f
	}
	place, n := e.at, resolved(e.node)
	for part := range strings.SplitSeq(field, ".") {
		var next *yaml.Node
		switch {
		case n == nil:
		case n.Kind == yaml.MappingNode:
			next, _ = member(n, part)
		case n.Kind == yaml.SequenceNode:
			if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.Content) {
				next = n.Content[i]
			}
		}
		if next == nil {
			break
		}
		place, n = next, resolved(next)
	}
	f.Path, f.Line, f.Column = e.doc.path, place.Line, place.Column
	return f
}

// LoadWorkers reads a workers file. Its error means that the file as a whole cannot be used; a fault within one entry is
// that entry's Err, and the others count. A file without entries is no error.
//
// Tasks stand under TaskWorkers, by their ids (as in the original) or as a list whose items have an id. Nothing is filled
// in but isPersistent, which is true where it is missing, as in the original. Text like ${secret:NAME} stays as it is.
func LoadWorkers(path string) (*WorkersFile, error) {
	d, err := readDocument(path)
	if err != nil {
		return nil, err
	}
	return d.workers()
}

// workers reads the entries of a document.
func (d *document) workers() (*WorkersFile, error) {
	f := &WorkersFile{Path: d.path}
	tasks, err := d.tasks()
	if err != nil || isNull(tasks) {
		return f, err
	}
	lines := map[string]int{}
	err = d.eachTask(tasks, func(id string, at, entry *yaml.Node) {
		e := d.entry(id, at, entry)
		if first, twice := lines[id]; twice {
			e.Err = d.fault(at, tasksKey+"."+id, "this id is used already on line %d: the first one counts, give this one another", first)
		} else {
			lines[id] = at.Line
		}
		f.Entries = append(f.Entries, e)
	})
	return f, err
}

// tasks is the value of TaskWorkers; nil where the file says nothing.
func (d *document) tasks() (*yaml.Node, error) {
	root := d.root()
	if root == nil {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, d.fault(root, "", "a workers file begins with TaskWorkers:")
	}
	var tasks, unknown *yaml.Node
	for i := 0; i+1 < len(root.Content); i += 2 {
		switch key := root.Content[i]; {
		case key.Value == tasksKey && tasks != nil:
			return nil, d.fault(key, "", "%s is there twice: put all tasks under one", tasksKey)
		case key.Value == tasksKey:
			tasks = resolved(root.Content[i+1])
		case len(key.Value) > 2 && key.Value[:2] == "x-": // a place for anchors
		case unknown == nil:
			unknown = key
		}
	}
	if unknown != nil {
		return nil, d.fault(unknown, "", "unknown key %s: %s (keys that begin with x- are left to you)", unknown.Value, didYouMean(unknown.Value, []string{tasksKey}))
	}
	return tasks, nil
}

// eachTask calls fn for every task in either form; at is where its id stands.
func (d *document) eachTask(tasks *yaml.Node, fn func(id string, at, entry *yaml.Node)) error {
	switch tasks.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(tasks.Content); i += 2 {
			fn(tasks.Content[i].Value, tasks.Content[i], tasks.Content[i+1])
		}
		return nil
	case yaml.SequenceNode:
		for i, item := range tasks.Content {
			id, at := "#"+strconv.Itoa(i+1), item
			if m := resolved(item); m.Kind == yaml.MappingNode {
				if v, _ := member(m, "id"); v != nil {
					id, at = resolved(v).Value, v
				}
			}
			fn(id, at, item)
		}
		return nil
	}
	return d.fault(tasks, tasksKey, "must hold tasks by their ids, or a list of tasks")
}

// entry reads one task.
func (d *document) entry(id string, at, n *yaml.Node) WorkerEntry {
	r := &entryReader{doc: d, field: tasksKey + "." + id, at: at, places: map[string]*yaml.Node{"id": at}}
	r.spec = skalds.Spec{ID: id, Mode: skalds.ModeActive, IsPersistent: true}
	r.read(n)
	return WorkerEntry{Line: at.Line, Spec: r.spec, Err: errors.Join(r.faults...), doc: d, at: at, node: n}
}

// faultsOf gives the faults that a check of the root's words found their places in the file.
func (r *entryReader) faultsOf(err error) {
	switch e := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, sub := range e.Unwrap() {
			r.faultsOf(sub)
		}
	case *skalds.FieldError:
		place := r.places[e.Field]
		if place == nil {
			place = r.at
		}
		r.fault(place, e.Field, "%s", e.Message)
	default:
		r.fault(r.at, "", "%v", err)
	}
}

func (r *entryReader) fault(n *yaml.Node, field, format string, args ...any) {
	if field != "" {
		field = "." + field
	}
	r.faults = append(r.faults, r.doc.fault(n, r.field+field, "%s", fmt.Sprintf(format, args...)))
}

// Err is what is wrong with the entries, all at once; nil: all can be used.
func (f *WorkersFile) Err() error {
	var errs []error
	for _, e := range f.Entries {
		errs = append(errs, e.Err)
	}
	return errors.Join(errs...)
}
