package api

import (
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/masking"
)

// selection says which events a client asked for; empty ids select all.
type selection struct {
	nodes, tasks bool
	node, task   string
}

func (s selection) wantsTask(id string) bool { return s.tasks && (s.task == "" || s.task == id) }
func (s selection) wantsNode(id string) bool { return s.nodes && (s.node == "" || s.node == id) }

// NodeStatusData is the data of skald_status.
type NodeStatusData struct {
	Status    string `json:"status"`
	TaskCount int    `json:"taskCount"`
}

// NodeHeartbeatData is the data of skald_heartbeat.
type NodeHeartbeatData struct {
	Heartbeat int64         `json:"heartbeat"`
	Status    string        `json:"status"`
	Tasks     []string      `json:"tasks"`
	Used      *skalds.Usage `json:"used,omitempty"`
}

// TaskStatusData is the data of task_status, task_error and task_exception.
type TaskStatusData struct {
	LifecycleStatus skalds.State `json:"lifecycleStatus"`
	ClassName       string       `json:"className,omitempty"`
	Phase           skalds.Phase `json:"phase,omitempty"`
	Executor        string       `json:"executor,omitempty"`
	Epoch           int64        `json:"epoch,omitempty"`
	Attempt         int          `json:"attempt,omitempty"`
	Revision        int64        `json:"revision,omitempty"`
	Error           string       `json:"error,omitempty"`
	Exception       string       `json:"exception,omitempty"`
}

// TaskHeartbeatData is the data of task_heartbeat.
type TaskHeartbeatData struct {
	Heartbeat       int             `json:"heartbeat"`
	LifecycleStatus skalds.State    `json:"lifecycleStatus"`
	Usage           skalds.Usage    `json:"usage"`
	Progress        skalds.Progress `json:"progress"`
}

// translator turns changes and looks at the nodes into the events of one client. It belongs to that client's goroutine.
type translator struct {
	want      selection
	errors    map[string]string // task → the error last told
	heartbeat map[string]int64  // node → the sequence number last told
	status    map[string]NodeStatusData
}

func newTranslator(want selection) *translator {
	return &translator{want: want, errors: map[string]string{}, heartbeat: map[string]int64{}, status: map[string]NodeStatusData{}}
}

func (t *translator) change(ic idChange) []Event {
	c := ic.change
	switch {
	case ic.reset:
		t.errors = map[string]string{}
		return nil
	case c.Type == skalds.ChangeTask && t.want.wantsTask(c.TaskID):
		return t.task(c)
	case c.Type == skalds.ChangeNode && t.want.wantsNode(c.NodeID):
		was := t.status[c.NodeID]
		was.Status = c.Status
		t.status[c.NodeID] = was
		return []Event{{Type: "skald_status", SkaldID: c.NodeID, Data: was, Timestamp: c.At}}
	}
	return nil
}

func (t *translator) task(c skalds.Change) []Event {
	data := TaskStatusData{
		LifecycleStatus: c.State, ClassName: c.ClassName, Phase: c.Phase, Executor: c.Executor, Epoch: c.Epoch, Attempt: c.Attempt,
		Revision: c.Revision, Error: masking.Text(c.Error), Exception: masking.Text(c.Exception),
	}
	events := []Event{{Type: "task_status", TaskID: c.TaskID, Data: data, Timestamp: c.At}}
	// The original's events: one for an error that did not end the task, one for what ended it.
	if c.Error != "" && t.errors[c.TaskID] != c.Error {
		t.errors[c.TaskID] = c.Error
		only := TaskStatusData{LifecycleStatus: c.State, Error: data.Error}
		events = append(events, Event{Type: "task_error", TaskID: c.TaskID, Data: only, Timestamp: c.At})
	}
	if c.Exception != "" && (c.State.Final() || c.Phase == skalds.PhaseBackoff) {
		only := TaskStatusData{LifecycleStatus: c.State, Exception: data.Exception}
		events = append(events, Event{Type: "task_exception", TaskID: c.TaskID, Data: only, Timestamp: c.At})
	}
	if c.State.Final() {
		delete(t.errors, c.TaskID)
		events = append(events, Event{
			Type: "task_heartbeat", TaskID: c.TaskID, Timestamp: c.At,
			Data: TaskHeartbeatData{Heartbeat: heartbeat(c.State, false, time.Time{}), LifecycleStatus: c.State},
		})
	}
	return events
}

// nodes says what has changed since the look before.
func (t *translator) nodes(views []controller.NodeView, now time.Time) []Event {
	var events []Event
	at := now.UnixMilli()
	for _, v := range views {
		fresh := false
		if hb := v.Heartbeat; hb != nil {
			mark := hb.Incarnation<<32 + hb.Seq
			fresh = t.heartbeat[v.ID] != mark
			t.heartbeat[v.ID] = mark
		}
		if t.want.wantsNode(v.ID) {
			status := NodeStatusData{nodeStatus(v), len(v.Tasks)}
			if was, known := t.status[v.ID]; known && was != status {
				events = append(events, Event{Type: "skald_status", SkaldID: v.ID, Data: status, Timestamp: at})
			}
			t.status[v.ID] = status
			if fresh {
				data := NodeHeartbeatData{Heartbeat: v.Heartbeat.Seq, Status: status.Status, Tasks: []string{}, Used: &v.Heartbeat.Used}
				for _, task := range v.Tasks {
					data.Tasks = append(data.Tasks, task.ID)
				}
				events = append(events, Event{Type: "skald_heartbeat", SkaldID: v.ID, Data: data, Timestamp: at})
			}
		}
		if !fresh || !v.Online {
			continue
		}
		for _, i := range v.Heartbeat.Instances {
			if t.want.wantsTask(i.TaskID) {
				events = append(events, Event{Type: "task_heartbeat", TaskID: i.TaskID, Timestamp: at, Data: TaskHeartbeatData{
					Heartbeat: heartbeat(i.State, true, now), LifecycleStatus: i.State, Usage: i.Usage, Progress: i.Progress,
				}})
			}
		}
	}
	return events
}
