package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/skalds-go/skalds/plugin-sdk/internal/workerpb"
)

// toStatus gives an error its wire form; nil stays nil.
func toStatus(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrRefused):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, ErrFenced):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, ErrUnsupported):
		return status.Error(codes.Unimplemented, err.Error())
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unknown, err.Error())
}

// fromStatus gives a wire error its identity back; verb says what was tried.
func fromStatus(verb string, err error) error {
	if err == nil {
		return nil
	}
	s := status.Convert(err)
	switch s.Code() {
	case codes.InvalidArgument:
		return &remoteError{verb, s.Message(), ErrRefused}
	case codes.FailedPrecondition:
		return &remoteError{verb, s.Message(), ErrFenced}
	case codes.Unimplemented:
		return &remoteError{verb, s.Message(), ErrUnsupported}
	case codes.Unauthenticated:
		return &remoteError{verb, s.Message(), ErrTokenMismatch}
	case codes.Unknown:
		return fmt.Errorf("%s: %s", verb, s.Message())
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// remoteError keeps the other side's text and one of our sentinels.
type remoteError struct {
	verb, text string
	is         error
}

func (e *remoteError) Error() string { return e.verb + ": " + e.text }
func (e *remoteError) Unwrap() error { return e.is }

func descriptionToPB(d Description) *workerpb.DescribeResponse {
	r := &workerpb.DescribeResponse{Name: d.Name, Version: d.Version, Sdk: d.SDK}
	for _, c := range d.Classes {
		r.Classes = append(r.Classes, &workerpb.Class{
			ClassName: c.ClassName, Description: c.Description, Schema: c.Schema, Capabilities: c.Capabilities,
			Resources:  &workerpb.Resources{CpuCores: c.Resources.CPUCores, MemoryBytes: c.Resources.MemoryBytes},
			Limits:     &workerpb.Limits{CpuCores: c.Limits.CPUCores, MemoryBytes: c.Limits.MemoryBytes, Pids: int32(c.Limits.PIDs)},
			MaxPerNode: int32(c.MaxPerNode),
		})
	}
	return r
}

func descriptionFromPB(r *workerpb.DescribeResponse) Description {
	d := Description{Name: r.Name, Version: r.Version, SDK: r.Sdk}
	for _, c := range r.Classes {
		d.Classes = append(d.Classes, Class{
			ClassName: c.ClassName, Description: c.Description, Schema: c.Schema, Capabilities: c.Capabilities,
			Resources:  Amounts{CPUCores: c.GetResources().GetCpuCores(), MemoryBytes: c.GetResources().GetMemoryBytes()},
			Limits:     Amounts{CPUCores: c.GetLimits().GetCpuCores(), MemoryBytes: c.GetLimits().GetMemoryBytes(), PIDs: int(c.GetLimits().GetPids())},
			MaxPerNode: int(c.MaxPerNode),
		})
	}
	return d
}

func runRequestToPB(r RunRequest) *workerpb.RunRequest {
	m := &workerpb.RunRequest{
		TaskId: r.TaskID, Name: r.Name, ClassName: r.ClassName, Epoch: r.Epoch, Attempt: int32(r.Attempt), Attachments: r.Attachments,
		Checkpoint: r.Checkpoint, Candidate: r.Candidate, DataDir: r.DataDir, Labels: r.Labels, IsPersistent: r.IsPersistent, Dependencies: r.Dependencies,
		GoMemLimitBytes: r.GoMemLimitBytes, GoMaxProcs: int32(r.GoMaxProcs), LogLevel: r.LogLevel, Env: r.Env,
	}
	if len(r.Stages) > 0 {
		m.Stages = make(map[string][]byte, len(r.Stages))
		for k, v := range r.Stages {
			m.Stages[k] = v
		}
	}
	return m
}

func runRequestFromPB(m *workerpb.RunRequest) RunRequest {
	r := RunRequest{
		TaskID: m.TaskId, Name: m.Name, ClassName: m.ClassName, Epoch: m.Epoch, Attempt: int(m.Attempt), Attachments: m.Attachments,
		Checkpoint: m.Checkpoint, Candidate: m.Candidate, DataDir: m.DataDir, Labels: m.Labels, IsPersistent: m.IsPersistent, Dependencies: m.Dependencies,
		GoMemLimitBytes: m.GoMemLimitBytes, GoMaxProcs: int(m.GoMaxProcs), LogLevel: m.LogLevel, Env: m.Env,
	}
	if len(m.Stages) > 0 {
		r.Stages = make(map[string]json.RawMessage, len(m.Stages))
		for k, v := range m.Stages {
			r.Stages[k] = v
		}
	}
	return r
}

func eventToPB(e RunEvent) *workerpb.RunEvent {
	switch e.Kind {
	case EventStarted:
		return &workerpb.RunEvent{Event: &workerpb.RunEvent_Started{Started: &workerpb.Started{}}}
	case EventProgress:
		p := e.Progress
		return &workerpb.RunEvent{Event: &workerpb.RunEvent_Progress{Progress: &workerpb.Progress{Percent: p.Percent, Units: p.Units, Unit: p.Unit, Stage: p.Stage}}}
	case EventStageFinished:
		return &workerpb.RunEvent{Event: &workerpb.RunEvent_StageFinished{StageFinished: &workerpb.StageFinished{Name: e.Stage, Value: e.Value}}}
	case EventError:
		return &workerpb.RunEvent{Event: &workerpb.RunEvent_Error{Error: &workerpb.TaskError{Message: e.Message}}}
	case EventResult:
		return &workerpb.RunEvent{Event: &workerpb.RunEvent_Result{Result: &workerpb.Result{Value: e.Value}}}
	case EventContract:
		return &workerpb.RunEvent{Event: &workerpb.RunEvent_Contract{Contract: &workerpb.ProgressContract{Unit: e.Unit, BudgetMs: e.Budget.Milliseconds()}}}
	case EventReady:
		return &workerpb.RunEvent{Event: &workerpb.RunEvent_Ready{Ready: &workerpb.Ready{}}}
	case EventFinished:
		f := e.Finished
		return &workerpb.RunEvent{Event: &workerpb.RunEvent_Finished{Finished: &workerpb.Finished{
			Kind: workerpb.Finished_Kind(f.Kind), Message: f.Message, Stack: f.Stack, Permanent: f.Permanent, Hook: f.Hook,
		}}}
	}
	return &workerpb.RunEvent{}
}

// eventFromPB reports false for an event that this version does not know.
func eventFromPB(m *workerpb.RunEvent) (RunEvent, bool) {
	switch v := m.Event.(type) {
	case *workerpb.RunEvent_Started:
		return RunEvent{Kind: EventStarted}, true
	case *workerpb.RunEvent_Progress:
		p := v.Progress
		return RunEvent{Kind: EventProgress, Progress: Progress{Percent: p.GetPercent(), Units: p.GetUnits(), Unit: p.GetUnit(), Stage: p.GetStage()}}, true
	case *workerpb.RunEvent_StageFinished:
		return RunEvent{Kind: EventStageFinished, Stage: v.StageFinished.GetName(), Value: v.StageFinished.GetValue()}, true
	case *workerpb.RunEvent_Error:
		return RunEvent{Kind: EventError, Message: v.Error.GetMessage()}, true
	case *workerpb.RunEvent_Result:
		return RunEvent{Kind: EventResult, Value: v.Result.GetValue()}, true
	case *workerpb.RunEvent_Contract:
		return RunEvent{Kind: EventContract, Unit: v.Contract.GetUnit(), Budget: time.Duration(v.Contract.GetBudgetMs()) * time.Millisecond}, true
	case *workerpb.RunEvent_Ready:
		return RunEvent{Kind: EventReady}, true
	case *workerpb.RunEvent_Finished:
		f := v.Finished
		return RunEvent{Kind: EventFinished, Finished: Finished{
			Kind: FinishedKind(f.GetKind()), Message: f.GetMessage(), Stack: f.GetStack(), Permanent: f.GetPermanent(), Hook: f.GetHook(),
		}}, true
	}
	return RunEvent{}, false
}

func artifactToPB(a Artifact) *workerpb.ReportArtifactRequest {
	return &workerpb.ReportArtifactRequest{
		Kind: a.Kind, Path: a.Path, StartedAtMs: millis(a.StartedAt), EndedAtMs: millis(a.EndedAt), Bytes: a.Bytes,
		DurationMs: a.Duration.Milliseconds(), EndReason: a.EndReason, Meta: a.Meta,
	}
}

func artifactFromPB(m *workerpb.ReportArtifactRequest) Artifact {
	return Artifact{
		Kind: m.Kind, Path: m.Path, StartedAt: fromMillis(m.StartedAtMs), EndedAt: fromMillis(m.EndedAtMs), Bytes: m.Bytes,
		Duration: time.Duration(m.DurationMs) * time.Millisecond, EndReason: m.EndReason, Meta: m.Meta,
	}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
