package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/skalds-go/skalds/plugin-sdk/internal/workerpb"
)

// Client is the host's end of a worker. It is safe for concurrent use. Errors wrap ErrRefused, ErrFenced, ErrUnsupported
// or ErrTokenMismatch where they apply; everything else is a lost or late call.
type Client struct {
	rpc   workerpb.WorkerClient
	token string
}

var _ Worker = (*Client)(nil)

// NewClient makes a client on an existing connection.
func NewClient(conn grpc.ClientConnInterface, token string) *Client {
	return &Client{rpc: workerpb.NewWorkerClient(conn), token: token}
}

// Describe asks what the worker offers.
func (c *Client) Describe(ctx context.Context, req DescribeRequest) (Description, error) {
	r, err := c.rpc.Describe(withToken(ctx, c.token), &workerpb.DescribeRequest{Brief: req.Brief})
	if err != nil {
		return Description{}, fromStatus("describe", err)
	}
	return descriptionFromPB(r), nil
}

// Configure sets process-wide knobs; zero leaves one as it is.
func (c *Client) Configure(ctx context.Context, goMemLimitBytes int64, goMaxProcs int) error {
	_, err := c.rpc.Configure(withToken(ctx, c.token), &workerpb.ConfigureRequest{GoMemLimitBytes: goMemLimitBytes, GoMaxProcs: int32(goMaxProcs)})
	return fromStatus("configure", err)
}

// Run runs the task and blocks until its stream ends. A stream that ends without a Finished event is an error.
func (c *Client) Run(ctx context.Context, req RunRequest, emit func(RunEvent)) error {
	stream, err := c.rpc.Run(withToken(ctx, c.token), runRequestToPB(req))
	if err != nil {
		return fromStatus("run", err)
	}
	finished := false
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if !finished {
				return errors.New("run: the worker ended the stream without saying how its task finished")
			}
			return nil
		}
		if err != nil {
			return fromStatus("run", err)
		}
		e, ok := eventFromPB(m)
		if !ok {
			continue // of a newer protocol
		}
		finished = finished || e.Kind == EventFinished
		emit(e)
	}
}

// Update hands over new attachments.
func (c *Client) Update(ctx context.Context, attachments json.RawMessage) error {
	_, err := c.rpc.Update(withToken(ctx, c.token), &workerpb.UpdateRequest{Attachments: attachments})
	return fromStatus("update", err)
}

// Pause pauses a task whose class can pause itself.
func (c *Client) Pause(ctx context.Context) error {
	_, err := c.rpc.Pause(withToken(ctx, c.token), &workerpb.PauseRequest{})
	return fromStatus("pause", err)
}

// Resume ends a pause.
func (c *Client) Resume(ctx context.Context) error {
	_, err := c.rpc.Resume(withToken(ctx, c.token), &workerpb.ResumeRequest{})
	return fromStatus("resume", err)
}

// Stop asks the task to end and returns at once.
func (c *Client) Stop(ctx context.Context, reason string, grace time.Duration) error {
	_, err := c.rpc.Stop(withToken(ctx, c.token), &workerpb.StopRequest{Reason: reason, GraceMs: grace.Milliseconds()})
	return fromStatus("stop", err)
}

// Checkpoint asks for the task's state.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	r, err := c.rpc.Checkpoint(withToken(ctx, c.token), &workerpb.CheckpointRequest{})
	if err != nil {
		return nil, fromStatus("checkpoint", err)
	}
	if len(r.State) > MaxCheckpoint {
		return nil, fmt.Errorf("checkpoint: %d bytes are more than the %d allowed: keep large state in a file and checkpoint its path", len(r.State), MaxCheckpoint)
	}
	return r.State, nil
}

// Restore hands a checkpoint to a candidate.
func (c *Client) Restore(ctx context.Context, state []byte, epoch int64) error {
	_, err := c.rpc.Restore(withToken(ctx, c.token), &workerpb.RestoreRequest{State: state, Epoch: epoch})
	return fromStatus("restore", err)
}

// Pressure tells that memory is short and returns what was freed.
func (c *Client) Pressure(ctx context.Context, level PressureLevel, bytesOver int64) (int64, error) {
	r, err := c.rpc.Pressure(withToken(ctx, c.token), &workerpb.PressureRequest{Level: workerpb.PressureRequest_Level(level), BytesOver: bytesOver})
	if err != nil {
		return 0, fromStatus("pressure", err)
	}
	return r.FreedBytes, nil
}
