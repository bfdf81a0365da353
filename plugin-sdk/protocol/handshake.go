package protocol

import (
	"errors"

	plugin "github.com/hashicorp/go-plugin"
)

// Version is the protocol's version; hosts speak it and the one before.
const Version = 1

// PluginName is the name under which the worker is dispensed.
const PluginName = "worker"

// Environment of a worker process, set by the host.
const (
	EnvCookieKey    = "SKALDS_WORKER"
	EnvCookieValue  = "c1f1a8a1-skalds-worker"
	EnvHostSocket   = "SKALDS_HOST_SOCKET"  // unix socket of HostServices
	EnvTokenFile    = "SKALDS_TOKEN_FILE"   // 0600 file with the launch's token
	EnvLivenessFD   = "SKALDS_LIVENESS_FD"  // read end of a pipe that closes when the host dies; "3"
	EnvLaunchID     = "SKALDS_LAUNCH_ID"    // names the launch, so that a sweep can find its processes
	EnvInstanceDir  = "SKALDS_INSTANCE_DIR" // private folder of the instance
	EnvCgroupKill   = "SKALDS_CGROUP_KILL"  // cgroup.kill of the instance's own control group, which ends with its host; optional
	EnvLogLevel     = "SKALDS_LOG_LEVEL"    // least level of the worker's log: debug, info, …; absent: info
	MetadataToken   = "skalds-token"        // gRPC metadata with the token, both ways
	MaxCheckpoint   = 1 << 20
	MaxCacheValue   = 1 << 20
	MaxResult       = 128 << 10
	MaxArtifactMeta = 16 << 10
	MaxArtifactPath = 4 << 10
	MaxArtifactText = 256 // of its kind and of its end reason
	MaxMessageBytes = 4 << 20
)

// Handshake is the go-plugin handshake of Skalds workers.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: Version, MagicCookieKey: EnvCookieKey, MagicCookieValue: EnvCookieValue}
}

// Errors that cross the wire with their identity.
var (
	ErrFenced        = errors.New("written under an outdated epoch")
	ErrRefused       = errors.New("refused by the worker") // Update: the old attachments hold
	ErrUnsupported   = errors.New("not supported by the class")
	ErrTokenMismatch = errors.New("token is missing or wrong")
)
