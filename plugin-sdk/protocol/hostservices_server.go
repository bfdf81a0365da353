package protocol

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/skalds-go/skalds/plugin-sdk/internal/workerpb"
)

// NewHostServicesServer makes the gRPC server that a host serves on an instance's private socket. The caller serves and
// stops it.
func NewHostServicesServer(h HostServices, token string) *grpc.Server {
	s := grpc.NewServer(
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if err := checkToken(ctx, token); err != nil {
				return nil, err
			}
			return handler(ctx, req)
		}))
	workerpb.RegisterHostServicesServer(s, &hostServer{impl: h})
	return s
}

type hostServer struct {
	workerpb.UnimplementedHostServicesServer
	impl HostServices
}

func (s *hostServer) CacheGet(ctx context.Context, r *workerpb.CacheGetRequest) (*workerpb.CacheGetResponse, error) {
	v, found, err := s.impl.CacheGet(ctx, r.Key)
	return &workerpb.CacheGetResponse{Found: found, Value: v}, toStatus(err)
}

func (s *hostServer) CacheSet(ctx context.Context, r *workerpb.CacheSetRequest) (*workerpb.CacheSetResponse, error) {
	if err := bounded("value", len(r.Value), MaxCacheValue); err != nil {
		return nil, err
	}
	return &workerpb.CacheSetResponse{}, toStatus(s.impl.CacheSet(ctx, r.Key, r.Value, time.Duration(r.TtlSeconds)*time.Second))
}

func (s *hostServer) CacheDelete(ctx context.Context, r *workerpb.CacheDeleteRequest) (*workerpb.CacheDeleteResponse, error) {
	return &workerpb.CacheDeleteResponse{}, toStatus(s.impl.CacheDelete(ctx, r.Key))
}

func (s *hostServer) ReportArtifact(ctx context.Context, r *workerpb.ReportArtifactRequest) (*workerpb.ReportArtifactResponse, error) {
	return &workerpb.ReportArtifactResponse{}, toStatus(s.impl.ReportArtifact(ctx, artifactFromPB(r)))
}

func (s *hostServer) SaveCheckpoint(ctx context.Context, r *workerpb.SaveCheckpointRequest) (*workerpb.SaveCheckpointResponse, error) {
	if err := bounded("checkpoint", len(r.State), MaxCheckpoint); err != nil {
		return nil, err
	}
	return &workerpb.SaveCheckpointResponse{}, toStatus(s.impl.SaveCheckpoint(ctx, r.State))
}

func (s *hostServer) LoadCheckpoint(ctx context.Context, _ *workerpb.LoadCheckpointRequest) (*workerpb.LoadCheckpointResponse, error) {
	state, found, err := s.impl.LoadCheckpoint(ctx)
	return &workerpb.LoadCheckpointResponse{Found: found, State: state}, toStatus(err)
}

func (s *hostServer) Secret(ctx context.Context, r *workerpb.SecretRequest) (*workerpb.SecretResponse, error) {
	v, err := s.impl.Secret(ctx, r.Name)
	return &workerpb.SecretResponse{Value: v}, toStatus(err)
}

func bounded(what string, n, most int) error {
	if n > most {
		return status.Error(codes.InvalidArgument, fmt.Sprintf("%s of %d bytes is larger than the %d allowed", what, n, most))
	}
	return nil
}
