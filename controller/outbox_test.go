package controller

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/skalds-go/skalds"
)

// largest is a spec of which nothing may be larger; fill is what it is made of.
func largest(t *testing.T, fill string) skalds.Spec {
	t.Helper()
	s := skalds.Spec{ID: strings.Repeat("i", 128), ClassName: "Demo", Attachments: json.RawMessage(`{"a":""}`), Labels: map[string]string{"k": ""}}
	grow := func(set func(text string)) {
		low, high := 0, 300<<10/len(fill)
		for low < high { // the most that is accepted
			mid := (low + high + 1) / 2
			set(strings.Repeat(fill, mid))
			if s.Validate() == nil {
				low = mid
			} else {
				high = mid - 1
			}
		}
		set(strings.Repeat(fill, low))
	}
	grow(func(text string) { s.Attachments = json.RawMessage(`{"a":"` + text + `"}`) })
	grow(func(text string) { s.Name = text })
	grow(func(text string) { s.Description = text })
	grow(func(text string) { s.Source = text })
	grow(func(text string) { s.Labels["k"] = text })
	grow(func(text string) { s.Constraints = []string{"k=" + text} })
	grow(func(text string) { s.Dependencies = []string{text} })
	grow(func(text string) { s.Version = text })
	grow(func(text string) { s.ClassName = "C" + text })
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestWhatIsAcceptedFitsIntoMessages: a task that no message can hold would never run.
func TestWhatIsAcceptedFitsIntoMessages(t *testing.T) {
	for _, fill := range []string{"x", "<", "ä"} {
		spec := largest(t, fill)
		if len(spec.Attachments) < 20<<10 || len(spec.Description) < 2<<10 {
			t.Errorf("of %q: only %d bytes of attachments and %d of description are accepted", fill, len(spec.Attachments), len(spec.Description))
		}
		task := taskIn(skalds.Running, func(t *skalds.Task) {
			t.Spec = spec
			t.Stages = map[string]json.RawMessage{"one": json.RawMessage(`"` + strings.Repeat("y", 60<<10) + `"`)}
		})
		command := commandFor(task, 1)
		answer := answerParts(7, 1, 1, []skalds.Command{command, command}, nil)
		entry := edgeAnswer(task, "n1")
		for name, m := range map[string]any{
			"command": skalds.NodeMessage{NodeID: "n1", Command: &command},
			"answer":  skalds.NodeMessage{NodeID: "n1", Answer: &answer[0]},
			"entry":   skalds.HostMessage{NodeID: "n1", Edge: &skalds.EdgeEntry{Spec: spec, BaseHash: skalds.ContentHash(nil)}},
			"its own": skalds.NodeMessage{NodeID: "n1", Edge: &entry},
		} {
			if n := len(mustJSON(t, m)); n > skalds.MaxBusMessageBytes {
				t.Errorf("of %q: %s has %d bytes", fill, name, n)
			}
		}
	}
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	for field, change := range map[string]func(*skalds.Spec){
		"name":        func(s *skalds.Spec) { s.Name = long },
		"description": func(s *skalds.Spec) { s.Description = long },
		"source":      func(s *skalds.Spec) { s.Source = long },
		"className":   func(s *skalds.Spec) { s.ClassName = long },
		"labels":      func(s *skalds.Spec) { s.Labels = map[string]string{long: "a"} },
		"constraints": func(s *skalds.Spec) { s.Constraints = []string{long} },
		"mode":        func(s *skalds.Spec) { s.Mode = skalds.Mode(long) },
		"attachments": func(s *skalds.Spec) {
			s.Attachments = json.RawMessage(`{"url":"` + strings.Repeat("<", 60<<10) + `"}`)
		},
	} {
		spec := skalds.Spec{ID: "t", ClassName: "Camera", Attachments: json.RawMessage(`{"url":"rtsp://h/1"}`)}
		change(&spec)
		err := admission(t).admit(&spec)
		if skalds.CodeOf(err) != skalds.CodeInvalid || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s: %.200v", field, err)
			continue
		}
		if n := len(err.Error()); n > 1000 {
			t.Errorf("%s: the answer has %d bytes", field, n)
		}
	}
	_, err := admission(t).UpdateAttachments(t.Context(), AttachmentsUpdate{TaskID: "t", Attachments: json.RawMessage(`{"url":"` + strings.Repeat("<", 60<<10) + `"}`)})
	if skalds.CodeOf(err) != skalds.CodeInvalid || !strings.Contains(err.Error(), "attachments: ") {
		t.Errorf("as an update: %.200v", err)
	}
}
