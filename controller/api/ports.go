package api

import (
	"context"
	"io"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// TaskService is what the routes need of the controller. *controller.TaskService implements it. Errors carry a
// skalds.Code; everything else is an internal error.
type TaskService interface {
	Create(ctx context.Context, r controller.CreateRequest) (v controller.TaskView, created bool, err error)
	Task(ctx context.Context, id string) (controller.TaskView, error)
	Tasks(ctx context.Context, f controller.TaskFilter) (items []controller.TaskView, total int, next string, err error)
	ClassNames(ctx context.Context) ([]string, error)
	Cancel(ctx context.Context, id, who string) (controller.TaskView, error)
	Pause(ctx context.Context, id, who string) (controller.TaskView, error)
	Resume(ctx context.Context, id, who string) (controller.TaskView, error)
	Retry(ctx context.Context, id, who string) (controller.TaskView, error)
	UpdateAttachments(ctx context.Context, u controller.AttachmentsUpdate) (controller.TaskView, error)
	Attempts(ctx context.Context, id string) ([]skalds.Attempt, error)
	Artifacts(ctx context.Context, id string) ([]skalds.Artifact, error)
	// Usage lists what a task took in the time before it was measured last.
	Usage(ctx context.Context, id string, last time.Duration) ([]skalds.UsageSample, error)
	Why(ctx context.Context, id string) (controller.Explanation, error)
	// Logs asks the task's node for its log; the reader ends at the end of the log, or with ctx when follow is set.
	Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error)
}

// NodeService is what the routes need to know of nodes and workers.
type NodeService interface {
	Nodes(ctx context.Context) ([]controller.NodeView, error)
	Node(ctx context.Context, id string) (controller.NodeView, error)
	TasksOnNode(ctx context.Context, id string) ([]*skalds.Task, error)
	Cordon(ctx context.Context, id string, cordoned bool, who string) (controller.NodeView, error)
	Drain(ctx context.Context, id string, deadline *time.Duration, who string) (controller.NodeView, error)
	Undrain(ctx context.Context, id, who string) (controller.NodeView, error)
	DrainForecast(ctx context.Context, id string) (controller.NodeView, controller.DrainForecast, error)
	SetLabels(ctx context.Context, id string, labels map[string]*string, replace bool, who string) (controller.NodeView, error)
	DeclareLost(ctx context.Context, id string, machineOff bool, who string) (controller.Loss, error)
	Workers(ctx context.Context) ([]controller.WorkerOnNodes, error)
	Summary(ctx context.Context) (controller.Summary, error)
}

// Events is the stream of changes.
type Events interface {
	// Subscribe calls fn for every change after the id ("" = from now on) until ctx ends; reset is called where the id is
	// unknown. fn must not block.
	Subscribe(ctx context.Context, after string, begun, reset func(), fn func(id string, c skalds.Change)) error
}

// StreamSink takes what hosts post for a stream that a client waits for (see skalds.StreamRequest).
type StreamSink interface {
	// Deliver hands body to whoever waits for the id, and returns when it has been read or nobody waits any more. It closes
	// body to wake a Read.
	Deliver(ctx context.Context, id, token string, body io.ReadCloser) error
	// Refuse tells whoever waits for the id why its host does not deliver.
	Refuse(id, token, reason string) error
}

// Health says which services answer.
type Health interface {
	// Ready returns one line per service, empty text = fine.
	Ready(ctx context.Context) map[string]string
	// Leader says which controller leads, and where it is reached if that is known; no ID: none does.
	Leader(ctx context.Context) skalds.ControllerInfo
}
