package sdktest

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// token is what both ends of a test's connections know.
const token = "sdktest"

// connect serves a worker and its host's services on unix sockets and returns the host's client of the worker. makeWorker
// gets the worker's end of the services. Everything is gone when the test has ended.
func connect(t testing.TB, host protocol.HostServices, makeWorker func(protocol.HostServices) (protocol.Worker, error)) *protocol.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "sdktest") // t.TempDir may be too long for a socket's path
	if err != nil {
		t.Fatalf("sdktest: make a folder for sockets: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	hostSocket := filepath.Join(dir, "host")
	serve(t, hostSocket, protocol.NewHostServicesServer(host, token))
	services, err := protocol.DialHostServices(hostSocket, token)
	if err != nil {
		t.Fatalf("sdktest: %v", err)
	}
	t.Cleanup(func() { _ = services.Close() })

	worker, err := makeWorker(services)
	if err != nil {
		t.Fatalf("sdktest: %v", err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(protocol.MaxMessageBytes), grpc.MaxSendMsgSize(protocol.MaxMessageBytes))
	glue := protocol.Plugins(worker, token)[protocol.PluginName].(plugin.GRPCPlugin)
	if err := glue.GRPCServer(nil, server); err != nil {
		t.Fatalf("sdktest: register the worker: %v", err)
	}
	workerSocket := filepath.Join(dir, "worker")
	serve(t, workerSocket, server)
	conn, err := grpc.NewClient("unix:"+workerSocket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(protocol.MaxMessageBytes), grpc.MaxCallSendMsgSize(protocol.MaxMessageBytes)))
	if err != nil {
		t.Fatalf("sdktest: dial the worker: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return protocol.NewClient(conn, token)
}

func serve(t testing.TB, socket string, s *grpc.Server) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatalf("sdktest: listen: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends by Stop
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
}
