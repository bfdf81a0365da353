package skalds

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ClassInfo is a class that a plugin offers.
type ClassInfo struct {
	ClassName    string          `json:"className"`
	Description  string          `json:"description,omitempty"`
	Schema       json.RawMessage `json:"schema,omitempty"`       // JSON Schema (2020-12) of the attachments
	Capabilities []string        `json:"capabilities,omitempty"` // "update", "pause", "checkpoint", "pressure"
	Resources    Resources       `json:"resources,omitzero"`     // default for tasks that ask for nothing
	Limits       Limits          `json:"limits,omitzero"`        // default for tasks that say nothing
	MaxPerNode   int             `json:"maxPerNode,omitempty"`   // 0: no limit
}

// WorkerInfo is a plugin: one executable, identified by name, version and digest.
type WorkerInfo struct {
	Name     string      `json:"name"`
	Version  string      `json:"version"`
	Digest   string      `json:"digest"` // "sha256:…"
	Protocol int         `json:"protocol"`
	Classes  []ClassInfo `json:"classes"`
	Conflict string      `json:"conflict,omitempty"` // why it is not used for some class
}

// Ref is "name@version".
func (w *WorkerInfo) Ref() string { return w.Name + "@" + w.Version }

// Class finds a class by its name; nil where the plugin does not offer it.
func (w *WorkerInfo) Class(name string) *ClassInfo {
	for i := range w.Classes {
		if w.Classes[i].ClassName == name {
			return &w.Classes[i]
		}
	}
	return nil
}

// SplitRef takes "name@version" apart.
func SplitRef(ref string) (name, version string, err error) {
	name, version, ok := strings.Cut(ref, "@")
	if !ok || name == "" || version == "" {
		return "", "", fmt.Errorf("%q is not of the form name@version", ref)
	}
	return name, version, nil
}
