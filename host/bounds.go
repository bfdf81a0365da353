package host

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/conf"
)

// Bounds of what a worker can make a host say: a bus message has 256 KiB, and a text stands in it up to three times.
const (
	maxText     = 4 << 10  // of a message, an error, a reason
	maxStack    = 16 << 10 // of a panic
	maxName     = 256      // of a stage, a unit
	maxShrunken = 512      // of every text of a message that was too large all the same
)

// cut shortens a text to limit bytes and shows that it did.
func cut(s string, limit int) string {
	const more = "…"
	switch {
	case len(s) <= limit:
		return s
	case limit < len(more):
		return ""
	}
	return strings.ToValidUTF8(s[:limit-len(more)], "") + more
}

func cutExit(e skalds.Exit, text, stack int) skalds.Exit {
	e.Message, e.Stack = cut(e.Message, text), cut(e.Stack, stack)
	return e
}

// cutReport bounds every text of a report.
func cutReport(r skalds.Report, text, stack int) skalds.Report {
	r.Reason, r.Error, r.Exception = cut(r.Reason, text), cut(r.Error, text), cut(r.Exception, text)
	if r.Exit != nil {
		exit := cutExit(*r.Exit, text, stack)
		r.Exit = &exit
	}
	return r
}

// valueFault says what is wrong with a value of a worker: it is no JSON, or larger than limit in the form in which it is
// sent. Empty: nothing.
func valueFault(v json.RawMessage, limit int) string {
	b, err := json.Marshal(v)
	switch {
	case err != nil:
		return "is no JSON (" + err.Error() + ")"
	case len(b) > limit:
		return "is larger than " + conf.ByteSize(limit).String() + " (pass large data by reference)"
	}
	return ""
}

// shrunken is a message that could not be sent, without what it can do without; false: it has nothing left to leave out.
func shrunken(m skalds.HostMessage) (skalds.HostMessage, bool) {
	full := m
	switch {
	case m.Report != nil:
		r := cutReport(*m.Report, maxShrunken, 0)
		r.Progress = skalds.Progress{}
		m.Report = &r
	case m.Outcome != nil && m.Outcome.Exit != nil:
		o, a := *m.Outcome, *m.Outcome.Exit
		a.LogTail, a.Usage = "", nil
		if a.Exit != nil {
			exit := cutExit(*a.Exit, maxShrunken, 0)
			a.Exit = &exit
		}
		o.Exit, m.Outcome = &a, &o
	case m.Outcome != nil && m.Outcome.Artifact != nil:
		o, a := *m.Outcome, *m.Outcome.Artifact
		a.Meta, a.EndReason = nil, cut(a.EndReason, maxShrunken)
		o.Artifact, m.Outcome = &a, &o
	}
	return m, !reflect.DeepEqual(m, full)
}
