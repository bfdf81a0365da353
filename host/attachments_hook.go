package host

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/plugin-sdk/schema"
	"github.com/skalds-go/skalds/plugin-sdk/schema/validator"
)

// attachmentsHook checks the attachments against the schema of the class and fills in secrets, which the schema and its
// messages therefore never see.
type attachmentsHook struct{}

func (attachmentsHook) before(_ context.Context, a *attempt) error {
	filled, refused := a.deps.prepareAttachments(a.task.ID, a.class, a.attachments)
	if refused != nil {
		return refused
	}
	a.filled = filled
	return nil
}

func (attachmentsHook) after(*attempt) {}

// prepareAttachments checks a document and fills in secrets.
func (d *runnerDeps) prepareAttachments(taskID string, class *skalds.ClassInfo, doc json.RawMessage) (json.RawMessage, *refusal) {
	s, err := d.schemas.compiled(class.Schema)
	if err != nil {
		return nil, &refusal{reason: "the schema of class " + class.ClassName + " cannot be used: " + err.Error(), permanent: true}
	}
	if faults := s.Validate(doc); len(faults) > 0 {
		parts := make([]string, len(faults))
		for i, f := range faults {
			parts[i] = d.fault(taskID, doc, attachmentField(f), f.Message)
		}
		return nil, &refusal{reason: strings.Join(parts, "; "), permanent: true, fields: parts}
	}
	filled, err := d.secrets.fill(doc)
	if err != nil {
		return nil, &refusal{reason: "attachments: " + err.Error()} // another node may have the secret
	}
	return filled, nil
}

func attachmentField(f schema.FieldError) string {
	if f.Field == "" {
		return "attachments"
	}
	return "attachments." + f.Field
}

// fault says what is wrong with a field of a task and, where the task stands in a file as it is run, in which line.
func (d *runnerDeps) fault(taskID string, attachments json.RawMessage, field, message string) string {
	if d.entry != nil {
		if e, ok := d.entry(taskID); ok && skalds.ContentHash(e.Spec.Attachments) == skalds.ContentHash(attachments) {
			return e.Fault(field, message).Error()
		}
	}
	return field + ": " + message
}

// schemaCache keeps compiled schemas, one per text.
type schemaCache struct {
	mu       sync.Mutex // guards bySource
	bySource map[string]*validator.Schema
}

const maxSchemas = 256

func (c *schemaCache) compiled(src json.RawMessage) (*validator.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.bySource[string(src)]; ok {
		return s, nil
	}
	s, err := validator.Compile(src)
	if err != nil {
		return nil, err
	}
	if len(c.bySource) >= maxSchemas || c.bySource == nil {
		c.bySource = map[string]*validator.Schema{}
	}
	c.bySource[string(src)] = s
	return s, nil
}
