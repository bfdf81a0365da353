package controllertest

import (
	"cmp"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// anew says hello and takes nothing that begins or changes a task before that is answered: it may be an old word.
func (h *Host) anew() {
	h.shut()
	h.hello()
}

func (h *Host) shut() { h.needed, h.answered = h.said+1, false }

// insist says hello again where it was not answered.
func (h *Host) insist() {
	if !h.answered && !h.cut && !h.leaving && len(h.waiting) == 0 && time.Since(h.saidAt) >= 2*time.Second {
		h.hello()
	}
}

// hello says first how things ended, then what runs, then what is not acknowledged.
func (h *Host) hello() {
	h.said++
	h.saidAt = time.Now()
	var finals []skalds.Report
	for _, f := range h.finals {
		finals = append(finals, f)
	}
	slices.SortFunc(finals, func(a, b skalds.Report) int { return cmp.Compare(a.TaskID, b.TaskID) })
	for _, f := range finals {
		h.reportSeq++
		f.Seq = h.reportSeq
		h.send(skalds.HostMessage{Report: &f})
	}
	hello := skalds.Hello{Mode: h.Mode, Partition: h.bus.Partition(h.ID), Workers: h.Workers, Number: h.said, Part: 1, Parts: 1}
	for id, m := range h.marks {
		if m.closed && h.finals[id].TaskID == "" {
			continue
		}
		mark := skalds.TaskMark{TaskID: id, Epoch: m.epoch, DesiredRevision: m.revision, Mode: skalds.ModePassive, State: h.finals[id].State}
		if in := h.running[id]; in != nil {
			mark.Running, mark.State, mark.Mode = true, in.state, in.cmd.Spec.Mode
		}
		hello.Tasks = append(hello.Tasks, mark)
	}
	slices.SortFunc(hello.Tasks, func(a, b skalds.TaskMark) int { return cmp.Compare(a.TaskID, b.TaskID) })
	h.send(skalds.HostMessage{Hello: &hello})
	h.resend()
}

func (h *Host) resend() {
	var keys []skalds.OutcomeKey
	for k := range h.outcomes {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b skalds.OutcomeKey) int {
		return cmp.Or(cmp.Compare(a.TaskID, b.TaskID), cmp.Compare(a.Epoch, b.Epoch), a.Attempt-b.Attempt)
	})
	for _, k := range keys {
		o := h.outcomes[k]
		h.send(skalds.HostMessage{Outcome: &o})
	}
}
