package conf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/skalds-go/skalds"
)

// WriteAttachments puts attachments into the entry of a task and leaves the rest of the file as it is, comments and order
// included. The file is replaced at once, keeps its mode, and is not touched when it says the same already. A file without
// write permission is refused with fs.ErrPermission, also for root.
func WriteAttachments(path, taskID string, attachments json.RawMessage) error {
	err := writeAttachments(path, taskID, attachments)
	var f *Fault
	if err != nil && !errors.As(err, &f) {
		return fmt.Errorf("write attachments of %s into %s: %w", taskID, path, err)
	}
	return err
}

func writeAttachments(path, taskID string, attachments json.RawMessage) error {
	real, mode, err := writable(path)
	if err != nil {
		return err
	}
	d, err := readDocument(path)
	if err != nil {
		return err
	}
	wanted, err := fromJSON(attachments)
	if err != nil {
		return fmt.Errorf("the attachments are no JSON: %w", err)
	}
	text, err := d.withAttachments(taskID, wanted)
	if err != nil {
		return err
	}
	if bytes.Equal(text, d.text) {
		return nil
	}
	return replaceFile(real, text, mode)
}

// withAttachments is the text of the document with other attachments in one entry. Only their lines are written anew where
// that can be; a file in an unusual form is written anew as a whole. Either way the result is read again and compared
// before anybody relies on it.
func (d *document) withAttachments(taskID string, wanted *yaml.Node) ([]byte, error) {
	entry, key, err := d.entryOf(taskID)
	if err != nil {
		return nil, err
	}
	old, _ := member(entry, "attachments")
	if old != nil && sameContent(old, wanted) {
		return d.text, nil
	}
	if text, ok := d.splice(entry, wanted); ok && d.differsOnlyIn(taskID, text, wanted) {
		return text, nil
	}
	text, err := d.rewrite(entry, wanted)
	if err != nil {
		return nil, err
	}
	if !d.differsOnlyIn(taskID, text, wanted) {
		return nil, d.fault(key, tasksKey+"."+taskID, "its attachments cannot be written without changing something else: are they shared by an anchor?")
	}
	return text, nil
}

// entryOf finds the entry of a task and the place of its id.
func (d *document) entryOf(taskID string) (entry, at *yaml.Node, err error) {
	tasks, err := d.tasks()
	if err != nil {
		return nil, nil, err
	}
	if !isNull(tasks) {
		err = d.eachTask(tasks, func(id string, place, e *yaml.Node) {
			if id == taskID && entry == nil {
				entry, at = e, place
			}
		})
	}
	switch {
	case err != nil:
		return nil, nil, err
	case entry == nil:
		return nil, nil, &Fault{Path: d.path, Field: tasksKey + "." + taskID, Message: "there is no such entry any more"}
	case entry.Kind != yaml.MappingNode:
		return nil, nil, d.fault(entry, tasksKey+"."+taskID, "is shared by an anchor or no mapping: its attachments cannot be written")
	}
	return entry, at, nil
}

// splice writes the lines of the attachments anew and no others. It gives up where they are not lines of their own.
func (d *document) splice(entry, wanted *yaml.Node) ([]byte, bool) {
	old, i := member(entry, "attachments")
	if old == nil || entry.Style&yaml.FlowStyle != 0 {
		return nil, false
	}
	key := entry.Content[i]
	lines := bytes.SplitAfter(d.text, []byte("\n"))
	first, indent := key.Line-1, key.Column-1
	if first < 0 || first >= len(lines) || len(lines[first]) < indent || len(bytes.TrimLeft(lines[first][:indent], " -")) > 0 {
		return nil, false
	}
	lead := lines[first][:indent] // spaces, or "- " in a list
	end := first + 1
	for n := first + 1; n < len(lines); n++ {
		trimmed := bytes.TrimLeft(lines[n], " ")
		blank := len(bytes.TrimSpace(trimmed)) == 0
		if depth := len(lines[n]) - len(trimmed); !blank && depth <= indent && (trimmed[0] != '-' || depth < indent || old.Kind != yaml.SequenceNode) {
			break
		}
		if !blank {
			end = n + 1
		}
	}
	rendered, err := render(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{bare(key), merged(old, wanted)}})
	if err != nil {
		return nil, false
	}
	newline := "\n"
	if bytes.Contains(lines[first], []byte("\r\n")) {
		newline = "\r\n"
	}
	var out bytes.Buffer
	for _, l := range lines[:first] {
		out.Write(l)
	}
	for n, l := range strings.Split(strings.TrimSuffix(string(rendered), "\n"), "\n") {
		switch {
		case n == 0:
			out.Write(lead)
		case l != "":
			out.WriteString(strings.Repeat(" ", indent))
		}
		out.WriteString(l + newline)
	}
	for _, l := range lines[end:] {
		out.Write(l)
	}
	return out.Bytes(), true
}

// bare is a key with the comment on its own line, without those above and below, which stay where they are.
func bare(key *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: key.Tag, Value: key.Value, LineComment: key.LineComment}
}

// rewrite writes the whole tree anew: comments stay, blank lines do not.
func (d *document) rewrite(entry, wanted *yaml.Node) ([]byte, error) {
	old, i := member(entry, "attachments")
	if old == nil {
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "attachments"}
		entry.Content = append(entry.Content, key, wanted)
	} else {
		entry.Content[i+1] = merged(old, wanted)
	}
	text, err := render(d.tree)
	if old == nil {
		entry.Content = entry.Content[:len(entry.Content)-2]
	} else {
		entry.Content[i+1] = old
	}
	return text, err
}

// merged is wanted in the shape of old: the order of its keys, its comments, its way of writing what has not changed.
func merged(old, wanted *yaml.Node) *yaml.Node {
	switch {
	case old.Kind == yaml.AliasNode:
		return wanted
	case sameContent(old, wanted):
		return old
	}
	out := *wanted
	out.Anchor = old.Anchor
	out.HeadComment, out.LineComment, out.FootComment = old.HeadComment, old.LineComment, old.FootComment
	out.Content = nil
	switch {
	case old.Kind == yaml.MappingNode && wanted.Kind == yaml.MappingNode:
		out.Style = old.Style
		if len(old.Content) == 0 {
			out.Style = 0
		}
		for i := 0; i+1 < len(old.Content); i += 2 {
			if v, _ := member(wanted, old.Content[i].Value); v != nil && old.Content[i].ShortTag() != "!!merge" {
				out.Content = append(out.Content, old.Content[i], merged(old.Content[i+1], v))
			}
		}
		for i := 0; i+1 < len(wanted.Content); i += 2 {
			if v, _ := member(&out, wanted.Content[i].Value); v == nil {
				out.Content = append(out.Content, wanted.Content[i], wanted.Content[i+1])
			}
		}
	case old.Kind == yaml.SequenceNode && wanted.Kind == yaml.SequenceNode:
		out.Style = old.Style
		for i, v := range wanted.Content {
			if i < len(old.Content) {
				v = merged(old.Content[i], v)
			}
			out.Content = append(out.Content, v)
		}
	default:
		out.Content = wanted.Content
		if old.Kind == yaml.ScalarNode && wanted.Kind == yaml.ScalarNode && wanted.Tag == "!!str" {
			out.Style |= old.Style & (yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle)
		}
	}
	return &out
}

// sameContent compares as attachments are compared everywhere.
func sameContent(a, b *yaml.Node) bool {
	x, errX := toJSON(a)
	y, errY := toJSON(b)
	return errX == nil && errY == nil && skalds.ContentHash(x) == skalds.ContentHash(y)
}

// differsOnlyIn reports whether text is this document with the wanted attachments, and nothing else has changed.
func (d *document) differsOnlyIn(taskID string, text []byte, wanted *yaml.Node) bool {
	changed, err := parseDocument(d.path, text)
	if err != nil {
		return false
	}
	entry, _, err := changed.entryOf(taskID)
	if err != nil {
		return false
	}
	attachments, _ := member(entry, "attachments")
	if attachments == nil || !sameContent(attachments, wanted) {
		return false
	}
	before, err := d.workers()
	if err != nil {
		return false
	}
	after, err := changed.workers()
	if err != nil || len(before.Entries) != len(after.Entries) {
		return false
	}
	for i := range before.Entries {
		b, a := before.Entries[i], after.Entries[i]
		if a.Spec.ID == taskID && b.Spec.ID == taskID {
			a.Spec.Attachments, b.Spec.Attachments = nil, nil
			a.Err, b.Err = nil, nil
		}
		x, errX := json.Marshal(a.Spec)
		y, errY := json.Marshal(b.Spec)
		if errX != nil || errY != nil || !bytes.Equal(x, y) || (a.Err == nil) != (b.Err == nil) {
			return false
		}
	}
	return true
}

// render writes a tree, indented by two.
func render(n *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// conflictHead explains a conflict file to whoever finds it.
const conflictHead = `# These attachments stood in the workers file beside this one when other, newer ones were found in the controller's store,
# and were replaced by those. Nothing reads this file: copy back what you still want, then delete it.
`

// WriteConflict keeps the attachments that a workers file had for a task in <path>.conflict, beside what is kept there of
// other tasks.
func WriteConflict(path, taskID string, attachments json.RawMessage) error {
	kept, err := fromJSON(attachments)
	if err != nil {
		return fmt.Errorf("write %s.conflict: the attachments are no JSON: %w", path, err)
	}
	mode := fs.FileMode(0o600) // attachments may hold passwords
	if st, err := os.Stat(path); err == nil {
		mode &= st.Mode().Perm()
	}
	tasks := &yaml.Node{Kind: yaml.MappingNode}
	if d, err := readDocument(path + ".conflict"); err == nil { // one that cannot be read is replaced
		if old, err := d.tasks(); err == nil && old != nil && old.Kind == yaml.MappingNode {
			tasks = old
		}
	}
	entry := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "attachments"}, kept}}
	if _, i := member(tasks, taskID); i >= 0 {
		tasks.Content[i+1] = entry
	} else {
		id := &yaml.Node{}
		id.SetString(taskID)
		tasks.Content = append(tasks.Content, id, entry)
	}
	tasks.HeadComment = ""
	text, err := render(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: tasksKey}, tasks}})
	if err != nil {
		return fmt.Errorf("write %s.conflict: %w", path, err)
	}
	if err := replaceFile(path+".conflict", append([]byte(conflictHead), text...), mode|0o600); err != nil {
		return fmt.Errorf("write %s.conflict: %w", path, err)
	}
	return nil
}
