package protocol

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/skalds-go/skalds/plugin-sdk/internal/workerpb"
)

// server is the worker's end: it checks the token and translates.
type server struct {
	workerpb.UnimplementedWorkerServer
	impl  Worker
	token string
}

func (s *server) Describe(ctx context.Context, r *workerpb.DescribeRequest) (*workerpb.DescribeResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	d, err := s.impl.Describe(ctx, DescribeRequest{Brief: r.Brief})
	return descriptionToPB(d), toStatus(err)
}

func (s *server) Configure(ctx context.Context, r *workerpb.ConfigureRequest) (*workerpb.ConfigureResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	return &workerpb.ConfigureResponse{}, toStatus(s.impl.Configure(ctx, r.GoMemLimitBytes, int(r.GoMaxProcs)))
}

// Run streams events. Events after the host has gone are dropped, so that a vanished host never blocks the task.
func (s *server) Run(r *workerpb.RunRequest, stream grpc.ServerStreamingServer[workerpb.RunEvent]) error {
	if err := checkToken(stream.Context(), s.token); err != nil {
		return err
	}
	var broken error
	err := s.impl.Run(stream.Context(), runRequestFromPB(r), func(e RunEvent) {
		if broken == nil {
			broken = stream.Send(eventToPB(e))
		}
	})
	if err != nil {
		return toStatus(err)
	}
	return broken
}

func (s *server) Update(ctx context.Context, r *workerpb.UpdateRequest) (*workerpb.UpdateResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	return &workerpb.UpdateResponse{}, toStatus(s.impl.Update(ctx, r.Attachments))
}

func (s *server) Pause(ctx context.Context, _ *workerpb.PauseRequest) (*workerpb.PauseResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	return &workerpb.PauseResponse{}, toStatus(s.impl.Pause(ctx))
}

func (s *server) Resume(ctx context.Context, _ *workerpb.ResumeRequest) (*workerpb.ResumeResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	return &workerpb.ResumeResponse{}, toStatus(s.impl.Resume(ctx))
}

func (s *server) Stop(ctx context.Context, r *workerpb.StopRequest) (*workerpb.StopResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	return &workerpb.StopResponse{}, toStatus(s.impl.Stop(ctx, r.Reason, time.Duration(r.GraceMs)*time.Millisecond))
}

func (s *server) Checkpoint(ctx context.Context, _ *workerpb.CheckpointRequest) (*workerpb.CheckpointResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	state, err := s.impl.Checkpoint(ctx)
	return &workerpb.CheckpointResponse{State: state}, toStatus(err)
}

func (s *server) Restore(ctx context.Context, r *workerpb.RestoreRequest) (*workerpb.RestoreResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	return &workerpb.RestoreResponse{}, toStatus(s.impl.Restore(ctx, r.State, r.Epoch))
}

func (s *server) Pressure(ctx context.Context, r *workerpb.PressureRequest) (*workerpb.PressureResponse, error) {
	if err := checkToken(ctx, s.token); err != nil {
		return nil, err
	}
	freed, err := s.impl.Pressure(ctx, PressureLevel(r.Level), r.BytesOver)
	return &workerpb.PressureResponse{FreedBytes: freed}, toStatus(err)
}
