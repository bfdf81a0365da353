package backup

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

const (
	// formatName and formatVersion stand in the first line. A higher version is refused: it may hold what this program would drop.
	formatName    = "skalds-backup"
	formatVersion = 1
	// maxLine bounds a record: the largest document that a store takes is far below.
	maxLine = 64 << 20
)

// Header is the first line.
type Header struct {
	Format     string `json:"format"`
	Version    int    `json:"version"`
	Program    string `json:"program"`    // the version of skalds that wrote it
	From       string `json:"from"`       // what the store was, for people
	CreatedAt  int64  `json:"createdAt"`  // ms since epoch
	Generation int64  `json:"generation"` // of the store
}

// Counts are how many records of each kind there are.
type Counts map[string]int

// String names the kinds in order: "nodes: 2, tasks: 10".
func (c Counts) String() string {
	parts := make([]string, 0, len(c))
	for _, kind := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s: %d", kind, c[kind]))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// trailer is the last line.
type trailer struct {
	Counts Counts `json:"counts"`
	SHA256 string `json:"sha256"` // of every byte before this line, in hexadecimal digits
}

// record is any other line, and the last: exactly one of its fields is set.
type record struct {
	Task    *skalds.Task           `json:"task,omitempty"`
	Outcome *skalds.Outcome        `json:"outcome,omitempty"`
	Audit   *controller.AuditEntry `json:"audit,omitempty"`
	Node    *skalds.Node           `json:"node,omitempty"`
	Workers *nodeWorkers           `json:"workers,omitempty"`
	Usage   *taskUsage             `json:"usage,omitempty"`
	Learned *profile               `json:"learned,omitempty"`
	End     *trailer               `json:"end,omitempty"` // the last line
}

type nodeWorkers struct {
	NodeID  string              `json:"nodeId"`
	Workers []skalds.WorkerInfo `json:"workers"`
}

type taskUsage struct {
	TaskID  string               `json:"taskId"`
	Samples []skalds.UsageSample `json:"samples"`
}

type profile struct {
	ClassName string          `json:"className"`
	Worker    string          `json:"worker"`
	UpdatedAt int64           `json:"updatedAt"` // ms since epoch
	Doc       json.RawMessage `json:"doc"`
}

// only reports whether a last line is nothing else besides.
func (r *record) only() bool { return *r == record{End: r.End} }

// kind is what a record counts as; empty where it is none.
func (r *record) kind() string {
	kind, n := "", 0
	for name, set := range map[string]bool{
		"tasks": r.Task != nil, "outcomes": r.Outcome != nil, "audits": r.Audit != nil, "nodes": r.Node != nil,
		"workers": r.Workers != nil, "usage": r.Usage != nil, "learned": r.Learned != nil,
	} {
		if set {
			kind, n = name, n+1
		}
	}
	if n != 1 || r.End != nil {
		return ""
	}
	return kind
}
