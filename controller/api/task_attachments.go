package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/masking"
)

// PutAttachments is the body of PUT /api/tasks/{task_id}/attachments.
type PutAttachments struct {
	Attachments json.RawMessage `json:"attachments" doc:"the whole of them; a masked secret that comes back unchanged keeps its value"`
}

// TaskAttachments are a task's attachments after a change.
type TaskAttachments struct {
	TaskID      string          `json:"taskId"`
	Attachments json.RawMessage `json:"attachments"`
	Revision    int64           `json:"revision"`
}

type attachmentsInput struct {
	TaskPath
	IfMatch string `header:"If-Match" doc:"the ETag under which the task was read: refuses the change when it is no longer that"`
	RawBody []byte `contentType:"application/json"`
}

type attachmentsOutput struct {
	ETag string `header:"ETag"`
	Body Done[TaskAttachments]
}

// updateTries is how often a change that puts stored secrets back is tried while others change the task.
const updateTries = 8

func (r *routes) putAttachments(ctx context.Context, in *attachmentsInput) (*attachmentsOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	b, err := decodeBody[PutAttachments](r, in.RawBody)
	if err != nil {
		return nil, err
	}
	doc, err := object("attachments", b.Attachments)
	if err != nil {
		return nil, err
	}
	if doc == nil {
		return nil, skalds.Invalid("the body does not fit", skalds.Field("attachments", "must be a JSON object"))
	}
	revision, err := ifMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	v, err := r.update(ctx, in.ID, doc, revision)
	if err != nil {
		return nil, err
	}
	return &attachmentsOutput{ETag: etag(v.Revision), Body: Done[TaskAttachments]{
		Success: true, Message: "the attachments of task " + v.ID + " are accepted",
		Data: TaskAttachments{TaskID: v.ID, Attachments: masking.Document(v.Attachments), Revision: v.Revision},
	}}, nil
}

// update puts stored secrets back where the document holds their masks. Such a change is made on the revision that the
// secrets were read from, so that it cannot undo a change of them.
func (r *routes) update(ctx context.Context, id string, doc json.RawMessage, revision int64) (controller.TaskView, error) {
	for try := 1; ; try++ {
		before, err := r.tasks.Task(ctx, id)
		if err != nil {
			return controller.TaskView{}, err
		}
		if revision != 0 && revision != before.Revision {
			return controller.TaskView{}, newProblem(http.StatusPreconditionFailed, skalds.CodeConflict,
				fmt.Sprintf("task %s has changed since you read it (revision %d, now %d): read it again", id, revision, before.Revision), requestID(ctx))
		}
		full, restored, err := masking.Restore(doc, before.Attachments)
		if err != nil {
			return controller.TaskView{}, err
		}
		u := controller.AttachmentsUpdate{TaskID: id, Attachments: full, IfRevision: revision, Who: who(ctx)}
		if restored {
			u.IfRevision = before.Revision
		}
		v, err := r.tasks.UpdateAttachments(ctx, u)
		if err == nil || revision != 0 || !restored || !errors.Is(err, skalds.ErrConflict) || try == updateTries {
			return v, err
		}
		now, readErr := r.tasks.Task(ctx, id)
		if readErr != nil || now.Revision == before.Revision {
			return v, err // refused for its state, not for the revision
		}
	}
}

// ifMatch reads an If-Match header; 0: none, or "*".
func ifMatch(h string) (int64, error) {
	h = strings.TrimSpace(h)
	if h == "" || h == "*" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(h, "W/"), `"`), 10, 64)
	if err != nil || n <= 0 {
		return 0, skalds.Invalid("the request does not fit", skalds.Field("If-Match", fmt.Sprintf("%q is no ETag of a task: send the one that reading it gave", h)))
	}
	return n, nil
}
