package protocol

import (
	"context"
	"crypto/subtle"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/skalds-go/skalds/plugin-sdk/internal/workerpb"
)

// Plugins is the plugin set of both sides. The worker passes its implementation, the host nil; both pass the launch's
// token. Dispensing PluginName on the host's side gives a *Client.
func Plugins(impl Worker, token string) plugin.PluginSet {
	return plugin.PluginSet{PluginName: &grpcPlugin{impl: impl, token: token}}
}

// grpcPlugin is the go-plugin glue.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
	impl  Worker
	token string
}

var _ plugin.GRPCPlugin = (*grpcPlugin)(nil)

// GRPCServer registers the worker's service. It is called in the worker's process.
func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	workerpb.RegisterWorkerServer(s, &server{impl: p.impl, token: p.token})
	return nil
}

// GRPCClient makes the host's client.
func (p *grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewClient(conn, p.token), nil
}

// withToken adds the token to an outgoing call.
func withToken(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, MetadataToken, token)
}

// checkToken compares the token of an incoming call in constant time.
func checkToken(ctx context.Context, token string) error {
	md, _ := metadata.FromIncomingContext(ctx)
	for _, v := range md.Get(MetadataToken) {
		if subtle.ConstantTimeCompare([]byte(v), []byte(token)) == 1 {
			return nil
		}
	}
	return status.Error(codes.Unauthenticated, ErrTokenMismatch.Error())
}
