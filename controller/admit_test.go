package controller

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// admission is a task service that knows two workers.
func admission(t *testing.T) *TaskService {
	t.Helper()
	c := newCluster(DefaultConfig())
	schema := json.RawMessage(`{"type":"object","properties":{"url":{"type":"string"}},"required":["url"],"additionalProperties":false}`)
	c.workers = newOffers([]WorkerOnNodes{
		{WorkerInfo: skalds.WorkerInfo{Name: "cam", Version: "1.2.0", Classes: []skalds.ClassInfo{{ClassName: "Camera", Schema: schema}}}},
		{WorkerInfo: skalds.WorkerInfo{Name: "next", Version: "2.0.0-rc.1", Classes: []skalds.ClassInfo{{ClassName: "Next"}}}},
	}, nil)
	return &TaskService{cfg: DefaultConfig(), cluster: c, schemas: newSchemas(), log: quiet}
}

func TestAdmission(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*skalds.Spec)
		code   skalds.Code // empty: admitted
		fields []string
	}{
		{"as it should be", func(*skalds.Spec) {}, "", nil},
		{"with all that is built", func(s *skalds.Spec) {
			s.Version, s.Priority, s.OnDisconnect, s.Constraints = "^1", 10, skalds.OnDisconnectKeep, []string{"zone=a", "gpu"}
			s.Retry.MaxAttempts, s.Timeouts.Queue, s.Limits.MemoryBytes = -1, skalds.Duration(time.Minute), 1<<30
		}, "", nil},
		{"dependencies, a deadline, survive", func(s *skalds.Spec) { s.Dependencies, s.DeadlineDateTime, s.Survive = []string{"a"}, 1, true }, skalds.CodeNotSupported, []string{"survive", "dependencies", "deadlineDateTime"}},
		{"the mode of a file", func(s *skalds.Spec) { s.Mode = skalds.ModeActive }, skalds.CodeNotSupported, []string{"mode"}},
		{"the mode of single_process", func(s *skalds.Spec) { s.Mode = skalds.ModePassiveProcess }, skalds.CodeNotSupported, []string{"mode"}},
		{"a class never seen", func(s *skalds.Spec) { s.ClassName = "Camra" }, skalds.CodeInvalid, []string{"className"}},
		{"a version nobody has", func(s *skalds.Spec) { s.Version = "^9" }, skalds.CodeInvalid, []string{"version"}},
		{"no version", func(s *skalds.Spec) { s.Version = "newest" }, skalds.CodeInvalid, []string{"version"}},
		{"prereleases only", func(s *skalds.Spec) { s.ClassName, s.Attachments = "Next", nil }, skalds.CodeInvalid, []string{"version"}},
		{"a prerelease by name", func(s *skalds.Spec) { s.ClassName, s.Attachments, s.Version = "Next", nil, "2.0.0-rc.1" }, "", nil},
		{"attachments that miss the schema", func(s *skalds.Spec) { s.Attachments = json.RawMessage(`{"url":7}`) }, skalds.CodeInvalid, []string{"attachments.url"}},
		{"attachments that are no JSON", func(s *skalds.Spec) { s.Attachments = json.RawMessage(`{`) }, skalds.CodeInvalid, []string{"attachments"}},
		{"a budget for memory", func(s *skalds.Spec) { s.Retry.OOM = &skalds.OOMRetry{Factor: 2, MaxMemoryBytes: 1 << 20} }, "", nil},
		{"a budget for memory that is none", func(s *skalds.Spec) { s.Retry.OOM = &skalds.OOMRetry{MaxAttempts: -2, Factor: 1000} }, skalds.CodeInvalid, []string{"retry.oom.maxAttempts", "retry.oom.factor"}},
		{"a share of the disk", func(s *skalds.Spec) { s.Limits.IOWeight = 10000 }, "", nil},
		{"a share of the disk that is none", func(s *skalds.Spec) { s.Limits.IOWeight = 10001 }, skalds.CodeInvalid, []string{"limits.ioWeight"}},
		{"several faults", func(s *skalds.Spec) { s.Priority, s.Constraints = 11, []string{"="} }, skalds.CodeInvalid, []string{"priority", "constraints"}},
	} {
		spec := skalds.Spec{ID: "t", ClassName: "Camera", Attachments: json.RawMessage(`{"url":"rtsp://h/1"}`)}
		tt.change(&spec)
		err := admission(t).admit(&spec)
		if (err == nil) != (tt.code == "") {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if err == nil {
			continue
		}
		var e *skalds.Error
		if !errors.As(err, &e) || e.Code != tt.code {
			t.Errorf("%s: %v, want code %s", tt.name, err, tt.code)
			continue
		}
		var fields []string
		for _, f := range e.Fields {
			fields = append(fields, f.Field)
		}
		if !slices.Equal(fields, tt.fields) {
			t.Errorf("%s: fields %q, want %q", tt.name, fields, tt.fields)
		}
	}
}

func TestLastLines(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 2, "b\nc\n"}, {"a\nb\n", 9, "a\nb\n"}, {"a\nb\n", 0, "a\nb\n"}, {"\n\n", 1, "\n"}, {"a", 1, "a\n"},
	} {
		if got := lastOf(tt.text, tt.n); got != tt.want {
			t.Errorf("last %d of %q: %q, want %q", tt.n, tt.text, got, tt.want)
		}
	}
}
