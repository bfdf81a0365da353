package mongo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"github.com/skalds-go/skalds"
)

// Codes of the server that say that it is not to be had at the moment, or does not let us in.
var awayCodes = []int{
	6, 7, 89, 9001, // host unreachable, not found, network time-out, socket broken
	13, 18, // unauthorized, authentication failed
	91, 189, 11600, 11601, 11602, // shutting down, primary stepped down, interrupted
	10107, 13435, 13436, // not primary
	50, 262, // out of time
	64, 79, 100, // write concern cannot be satisfied
}

// fault says what failed and, where the server is to blame, what to do about it.
func (s *Store) fault(what string, err error) error {
	var known *skalds.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), errors.Is(err, skalds.ErrRevision), errors.Is(err, context.Canceled):
		return err
	}
	if !away(err) {
		return fmt.Errorf("%s: %w", what, withoutSecrets(err))
	}
	return &skalds.Error{
		Code:    skalds.CodeUnavailable,
		Message: fmt.Sprintf("%s: MongoDB at %s does not take part: check that it runs there, has a primary, and takes our user and password", what, s.where),
		Err:     withoutSecrets(err),
	}
}

func away(err error) bool {
	var selection topology.ServerSelectionError
	var connection topology.ConnectionError
	var server mongo.ServerError
	switch {
	case mongo.IsTimeout(err), mongo.IsNetworkError(err), errors.As(err, &selection), errors.As(err, &connection),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, mongo.ErrClientDisconnected):
		return true
	case errors.As(err, &server):
		return slices.ContainsFunc(awayCodes, server.HasErrorCode)
	}
	return false
}

// credentials are what stands before the last @ of an address.
var credentials = regexp.MustCompile(`(mongodb(?:\+srv)?://)[^\s"]*@`)

// masked is an error without the credentials of an address in its text.
type masked struct{ err error }

func (m masked) Error() string { return credentials.ReplaceAllString(m.err.Error(), "${1}***@") }
func (m masked) Unwrap() error { return m.err }

func withoutSecrets(err error) error {
	if err == nil {
		return nil
	}
	return masked{err}
}
