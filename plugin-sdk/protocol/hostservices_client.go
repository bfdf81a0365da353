package protocol

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/skalds-go/skalds/plugin-sdk/internal/workerpb"
)

// HostServicesClient is the worker's end of what its host offers. It is safe for concurrent use.
type HostServicesClient struct {
	conn  *grpc.ClientConn
	rpc   workerpb.HostServicesClient
	token string
}

var _ HostServices = (*HostServicesClient)(nil)

// DialHostServices connects to the host's private socket, lazily: the first call finds out whether anybody answers.
func DialHostServices(socket, token string) (*HostServicesClient, error) {
	conn, err := grpc.NewClient("unix:"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxMessageBytes)))
	if err != nil {
		return nil, fmt.Errorf("dial host services %s: %w", socket, err)
	}
	return &HostServicesClient{conn: conn, rpc: workerpb.NewHostServicesClient(conn), token: token}, nil
}

// Close ends the connection. It may be called twice.
func (c *HostServicesClient) Close() error { return c.conn.Close() }

// CacheGet reads a value.
func (c *HostServicesClient) CacheGet(ctx context.Context, key string) ([]byte, bool, error) {
	r, err := c.rpc.CacheGet(withToken(ctx, c.token), &workerpb.CacheGetRequest{Key: key})
	if err != nil {
		return nil, false, fromStatus("cache get", err)
	}
	return r.Value, r.Found, nil
}

// CacheSet writes a value; ttl is rounded up to whole seconds, 0 means the host's default.
func (c *HostServicesClient) CacheSet(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	secs := int64((ttl + time.Second - 1) / time.Second)
	_, err := c.rpc.CacheSet(withToken(ctx, c.token), &workerpb.CacheSetRequest{Key: key, Value: value, TtlSeconds: secs})
	return fromStatus("cache set", err)
}

// CacheDelete removes a value.
func (c *HostServicesClient) CacheDelete(ctx context.Context, key string) error {
	_, err := c.rpc.CacheDelete(withToken(ctx, c.token), &workerpb.CacheDeleteRequest{Key: key})
	return fromStatus("cache delete", err)
}

// ReportArtifact tells of something that the task left behind.
func (c *HostServicesClient) ReportArtifact(ctx context.Context, a Artifact) error {
	_, err := c.rpc.ReportArtifact(withToken(ctx, c.token), artifactToPB(a))
	return fromStatus("report artifact", err)
}

// SaveCheckpoint stores the task's state.
func (c *HostServicesClient) SaveCheckpoint(ctx context.Context, state []byte) error {
	_, err := c.rpc.SaveCheckpoint(withToken(ctx, c.token), &workerpb.SaveCheckpointRequest{State: state})
	return fromStatus("save checkpoint", err)
}

// LoadCheckpoint reads the state last saved, by this or an earlier attempt.
func (c *HostServicesClient) LoadCheckpoint(ctx context.Context) ([]byte, bool, error) {
	r, err := c.rpc.LoadCheckpoint(withToken(ctx, c.token), &workerpb.LoadCheckpointRequest{})
	if err != nil {
		return nil, false, fromStatus("load checkpoint", err)
	}
	return r.State, r.Found, nil
}

// Secret reads a secret from the node's data folder.
func (c *HostServicesClient) Secret(ctx context.Context, name string) (string, error) {
	r, err := c.rpc.Secret(withToken(ctx, c.token), &workerpb.SecretRequest{Name: name})
	if err != nil {
		return "", fromStatus("read secret "+name, err)
	}
	return r.Value, nil
}
