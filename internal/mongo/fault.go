package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	wire "go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/skalds-go/skalds"
)

// Codes of the server that need advice of their own.
const (
	codeUnauthorized         = 13
	codeAuthenticationFailed = 18
	codeWriteConflict        = 112
	codeNotEnoughSpace       = 14031
	codeTooLarge             = 10334
)

// passing are codes of a server that may answer better a moment later: it is starting, stopping or no primary any more, does not
// reach its replicas, or takes too long.
var passing = []int{6, 7, 50, 64, 79, 89, 91, 100, 112, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436}

// fault says what failed and, where the server is to blame, what to do about it. ctx is the caller's.
func (s *Store) fault(ctx context.Context, what string, err error) error {
	var known *skalds.Error
	var server driver.ServerError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known) || errors.Is(err, skalds.ErrRevision):
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case errors.Is(err, driver.ErrClientDisconnected):
		return s.away(what+": the store is closed", err)
	case errors.As(err, &server) && !server.HasErrorLabel("NetworkError") && !givenUp(err):
		return s.refused(what, server, err)
	case away(err):
		return s.away(fmt.Sprintf("%s: MongoDB at %s does not answer: see whether it runs, has a primary, and can be reached from here", what, s.addr), err)
	case errors.Is(err, wire.ErrDocumentTooLarge):
		return &skalds.Error{Code: skalds.CodeTooLarge, Message: what + ": more than MongoDB keeps in one document (16 MiB)", Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// away reports whether the server was not there or fell silent.
func away(err error) bool {
	var selection topology.ServerSelectionError
	var connection topology.ConnectionError
	return errors.As(err, &selection) || errors.As(err, &connection) || givenUp(err) || driver.IsTimeout(err) || driver.IsNetworkError(err) ||
		errors.Is(err, context.DeadlineExceeded)
}

// givenUp reports whether the call had no connection, because all were given up when another one broke. The driver dresses some of
// that as an answer of the server.
func givenUp(err error) bool {
	var pool wire.RetryablePoolError
	return errors.As(err, &pool)
}

// refused says what an answer of the server means.
func (s *Store) refused(what string, server driver.ServerError, err error) error {
	switch {
	case server.HasErrorCode(codeAuthenticationFailed), server.HasErrorCode(codeUnauthorized):
		return s.away(fmt.Sprintf("%s: MongoDB at %s does not let us in: check user and password of MONGO_HOST, its authSource, and that the user may read and write %q",
			what, s.addr, s.cfg.Database), err)
	case server.HasErrorCode(codeNotEnoughSpace):
		return s.away(fmt.Sprintf("%s: the disk of MongoDB at %s is full: free some space there", what, s.addr), err)
	case server.HasErrorCode(codeTooLarge):
		return &skalds.Error{Code: skalds.CodeTooLarge, Message: what + ": more than MongoDB keeps in one document (16 MiB)", Err: err}
	case server.HasErrorLabel("RetryableWriteError"), driver.IsTimeout(err),
		slices.ContainsFunc(passing, server.HasErrorCode):
		return s.away(fmt.Sprintf("%s: MongoDB at %s cannot do it now: see whether it has a primary and a majority of its members", what, s.addr), err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (s *Store) away(message string, err error) error {
	return &skalds.Error{Code: skalds.CodeUnavailable, Message: message, Err: &plainError{err}}
}

// plainError tells in a few words what the driver tells with all that it knows of all servers.
type plainError struct{ err error }

func (e *plainError) Unwrap() error { return e.err }

func (e *plainError) Error() string {
	err := e.err
	var selection topology.ServerSelectionError
	if errors.As(err, &selection) {
		err = nil
		for _, s := range selection.Desc.Servers {
			if s.LastError != nil {
				err = s.LastError
			}
		}
		if err == nil {
			return "no server was found that could do it"
		}
	}
	var network *net.OpError
	if errors.As(err, &network) {
		err = network // without the connection's number and the driver's words around it
	}
	text, _, _ := strings.Cut(err.Error(), ", current topology:")
	return text
}

// Address is where the store is, host:port with commas between several, without user and password.
func (s *Store) Address() string { return s.addr }
