package skalds

import (
	"encoding/json"
	"fmt"
)

// Sizes that every reader enforces.
const (
	MaxAttachmentsBytes = 128 << 10
	MaxResultBytes      = 128 << 10
	MaxBusMessageBytes  = 256 << 10
	MaxBodyBytes        = 1 << 20
	MaxPriority         = 10 // the most urgent
)

// Bounds of the parts of a Spec as JSON text. Together with what else is in a message they are below MaxBusMessageBytes, so
// that a task that was accepted can be told to a node.
const (
	maxAttachmentsJSON = 176 << 10 // of MaxAttachmentsBytes some may take six bytes for one: see jsonSize
	maxWordBytes       = 256       // names that programs look things up by
	maxNameBytes       = 1 << 10
	maxTextBytes       = 16 << 10
	maxIsolationBytes  = 4 << 10
)

// ValidateAttachments checks the size of a document; its content belongs to the class.
func ValidateAttachments(doc json.RawMessage) error {
	if len(doc) > MaxAttachmentsBytes {
		return Field("attachments", fmt.Sprintf("%d bytes are more than the %d allowed: pass large data by reference", len(doc), MaxAttachmentsBytes))
	}
	if n := jsonSize(doc); n > maxAttachmentsJSON {
		return Field("attachments", fmt.Sprintf("%d bytes, counting six for each <, > and &, are more than the %d allowed: pass large data by reference", n, maxAttachmentsJSON))
	}
	return nil
}

// bounds checks the size of everything in a spec that has no other bound.
func (s *Spec) bounds() []error {
	var errs []error
	for _, f := range []struct {
		field string
		value any
		limit int
	}{
		{"className", s.ClassName, maxWordBytes},
		{"name", s.Name, maxNameBytes},
		{"description", s.Description, maxTextBytes},
		{"source", s.Source, maxNameBytes},
		{"version", s.Version, maxWordBytes},
		{"labels", s.Labels, maxTextBytes},
		{"constraints", s.Constraints, maxTextBytes},
		{"dependencies", s.Dependencies, maxTextBytes},
	} {
		if n := jsonSize(f.value); n > f.limit {
			errs = append(errs, Field(f.field, fmt.Sprintf("%d bytes as JSON are more than the %d allowed", n, f.limit)))
		}
	}
	return append(errs, ValidateAttachments(s.Attachments))
}

// jsonSize is how long a value gets at most on its way: encoding/json writes six bytes for some characters that need only
// one, wherever it meets them first, and they stay so.
func jsonSize(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return 0 // attachments that are no JSON: refused for that
	}
	return len(b)
}

// quoted is a value of a user as an error repeats it.
func quoted[T ~string](v T) string {
	const most = 64
	if len(v) > most {
		return fmt.Sprintf("%q…", string(v[:most]))
	}
	return fmt.Sprintf("%q", string(v))
}
