package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/skalds-go/skalds"
)

// fault makes an error that says what could not be done, where, and what to do about it; nil stays nil.
func fault(cfg Config, what string, err error) error {
	if err == nil {
		return nil
	}
	return &skalds.Error{Code: skalds.CodeUnavailable, Message: fmt.Sprintf("%s: Redis at %s %s", what, cfg.Addr, advice(cfg, err)), Err: err}
}

// answers are what servers refuse with, and what is to be done about it.
var answers = []struct{ begin, advice string }{
	{"NOAUTH", "wants a password: set REDIS_PASSWORD, and REDIS_USERNAME where it has users"},
	{"WRONGPASS", "does not take our password: check REDIS_USERNAME and REDIS_PASSWORD"},
	{"ERR AUTH", "wants no password, or does not know the user: check REDIS_USERNAME and REDIS_PASSWORD"},
	{"ERR invalid password", "does not take our password: check REDIS_USERNAME and REDIS_PASSWORD"},
	{"NOPERM", "does not allow our user to do that: its ACL needs what docs/operations.md names"},
	{"MOVED", "is a member of a cluster: set REDIS_CLUSTER=true"},
	{"CROSSSLOT", "is a member of a cluster: set REDIS_CLUSTER=true"},
	{"ERR This instance has cluster support disabled", "is no cluster: set REDIS_CLUSTER=false"},
	{"CLUSTERDOWN", "is a member of a cluster that has lost a part of its keys: look at CLUSTER INFO and bring its members back"},
	{"READONLY", "is a replica: name the server that may be written to in REDIS_HOST"},
	{"LOADING", "is still reading its data: it takes part as soon as it has them"},
	{"BUSY", "is busy with a script of somebody else"},
	{"OOM", "has no memory left: raise its maxmemory, or remove what others have put there"},
	{"MISCONF", "takes no changes because it cannot write to its disk: look at its log"},
	{"NOREPLICAS", "takes no changes because it lacks replicas: look at min-replicas-to-write there"},
	{"ERR max number of clients", "has too many connections: raise maxclients there"},
}

// advice ends the sentence "Redis at host:port …".
func advice(cfg Config, err error) string {
	var reply redis.Error
	if errors.As(err, &reply) {
		for _, a := range answers {
			if strings.HasPrefix(reply.Error(), a.begin) {
				return a.advice
			}
		}
		return "refuses that"
	}
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var header tls.RecordHeaderError
	var network net.Error
	switch {
	case errors.As(err, &certificate), errors.As(err, &authority):
		return "shows a certificate that cannot be trusted: name the authority that has signed it in REDIS_CA_FILE, and the server as its certificate does in REDIS_HOST"
	case errors.As(err, &header):
		return "does not speak TLS: set REDIS_TLS=false, or name the port that does in REDIS_PORT"
	case strings.Contains(err.Error(), "REDIS_CA_FILE"):
		return "cannot be trusted without its authorities"
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded):
		if cfg.TLS { // a server that does not waits for the rest of what it takes for a command
			return "has not answered in time: see whether it runs there, can be reached from here, and speaks TLS on that port"
		}
		return "has not answered in time: see whether it runs there, and can be reached from here"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "does not take part: nobody listens there: see whether it runs"
	case cfg.TLS:
		return "does not take part: check that it runs there and speaks TLS on that port"
	}
	return "does not take part: check that it runs there, takes our password, and wants no TLS on that port"
}
