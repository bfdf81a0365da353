package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/dispatch"
)

// Create accepts a task. It is stored durably before this returns; a node is found afterwards.
func (s *TaskService) Create(ctx context.Context, r CreateRequest) (v TaskView, created bool, err error) {
	select {
	case <-s.loaded:
	default:
		return TaskView{}, false, skalds.Errorf(skalds.CodeUnavailable, "the controller is starting: try again in a moment")
	}
	now := s.now()
	spec := r.Spec
	if spec.ID == "" {
		spec.ID = uuid.NewString()
	}
	if spec.Source == "" {
		spec.Source = r.Who
	}
	spec.CreateDateTime = now
	if err := s.admit(&spec); err != nil {
		return TaskView{}, false, err
	}
	t := newTask(spec.WithDefaults(s.cfg.TaskWorkerRetry), now)
	t.IdempotencyKey, t.IdempotencyHash = r.IdempotencyKey, r.BodyHash
	stored, created, err := s.add(ctx, t)
	switch {
	case errors.Is(err, skalds.ErrConflict):
		return TaskView{}, false, &skalds.Error{
			Code: skalds.CodeConflict, Message: fmt.Sprintf("there is a task %q already: choose another id, or leave it out to get one", spec.ID),
		}
	case err != nil:
		s.auditUnclear(ctx, AuditEntry{Who: r.Who, Action: "create", TaskID: spec.ID}, err)
		return TaskView{}, false, err
	case !created && stored.IdempotencyHash != r.BodyHash:
		return TaskView{}, false, skalds.Invalid("the request cannot be repeated",
			skalds.Field("Idempotency-Key", fmt.Sprintf("was used for another body before (task %s): use a new key", stored.ID)))
	case !created:
		return s.view(stored), false, nil
	}
	s.audit(ctx, AuditEntry{Who: r.Who, Action: "create", TaskID: stored.ID, After: stateJSON(stored)})
	return s.view(stored), true, nil
}

// newTask is an accepted task that waits for a node.
func newTask(spec skalds.Spec, now int64) *skalds.Task {
	return &skalds.Task{
		Spec: spec, LifecycleStatus: skalds.Created, UpdateDateTime: now, QueuedAt: now, Desired: skalds.DesiredRunning,
	}
}

// admit checks a request: first what is not built, then what is wrong, then whether anybody knows the class.
func (s *TaskService) admit(spec *skalds.Spec) error {
	if err := notBuilt(spec); err != nil {
		return err
	}
	errs := []error{spec.Validate()}
	if _, err := dispatch.ParseVersions(spec.Version); err != nil {
		errs = append(errs, skalds.Field("version", err.Error()))
	}
	if len(spec.Attachments) > 0 && !json.Valid(spec.Attachments) {
		errs = append(errs, skalds.Field("attachments", "is no valid JSON"))
	}
	if err := errors.Join(errs...); err != nil {
		return skalds.Invalid("the task cannot be accepted", err)
	}
	return s.checkAttachments(spec.ClassName, spec.Version, "", spec.Attachments)
}

// notBuilt refuses fields that would otherwise be ignored.
func notBuilt(spec *skalds.Spec) error {
	e := &skalds.Error{Code: skalds.CodeNotSupported, Message: "the task asks for something that is not supported yet"}
	add := func(field, message string) {
		e.Fields = append(e.Fields, skalds.FieldError{Field: field, Message: "is not supported yet: " + message})
	}
	if spec.Survive {
		add("survive", "leave it out")
	}
	if len(spec.Dependencies) > 0 {
		add("dependencies", "create the task when those it needs have finished")
	}
	if spec.DeadlineDateTime != 0 {
		add("deadlineDateTime", "use timeouts.run to bound a task")
	}
	switch spec.Mode {
	case skalds.ModeActive:
		add("mode", "an Active task comes from a node's workers file; leave mode out")
	case skalds.ModePassiveProcess:
		add("mode", "a PassiveProcess task is that of a single_process host; leave mode out")
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

// checkAttachments checks a document against the schema of the class in the version that runs, or would.
func (s *TaskService) checkAttachments(className, version, running string, doc json.RawMessage) error {
	workers := s.cluster.known()
	versions, err := dispatch.ParseVersions(version)
	if err != nil {
		return skalds.Invalid("the version does not work", skalds.Field("version", err.Error()))
	}
	_, class, offered := versions.Pick(className, workers)
	if running != "" {
		if c := s.cluster.class(running, className); c != nil {
			class = c // whether or not its file is still there
		}
	}
	switch {
	case class != nil:
	case running != "":
		s.log.Debug("the version that runs is not known here: attachments are checked on the node only", "class", className, "worker", running)
		return nil
	case len(offered) == 0:
		return skalds.Invalid("the task cannot be accepted", skalds.Field("className", unknownClass(className, workers)))
	case version == "":
		return skalds.Invalid("the task cannot be accepted", skalds.Field("version", fmt.Sprintf("class %s is there in prereleases only (%s): name the version to use one", className, strings.Join(offered, ", "))))
	default:
		return skalds.Invalid("the task cannot be accepted", skalds.Field("version", fmt.Sprintf("%q is satisfied by none of the known workers of class %s: %s", version, className, strings.Join(offered, ", "))))
	}
	schema, err := s.schemas.compiled(class.Schema)
	if err != nil {
		s.log.Error("the schema of a class cannot be used: attachments are checked on the node only", "class", className, "err", err)
		return nil
	}
	var errs []error
	for _, f := range schema.Validate(doc) {
		field := "attachments"
		if f.Field != "" {
			field += "." + f.Field
		}
		errs = append(errs, skalds.Field(field, f.Message))
	}
	return skalds.Invalid("the attachments do not fit class "+className, errors.Join(errs...))
}

func unknownClass(className string, workers []skalds.WorkerInfo) string {
	names := classNames(workers)
	if len(names) == 0 {
		return fmt.Sprintf("%q is unknown: no node offers a worker: copy one into the plugins folder of a node", className)
	}
	return fmt.Sprintf("%q is unknown; known classes: %s", className, strings.Join(names, ", "))
}
