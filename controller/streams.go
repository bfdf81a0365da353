package controller

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/skalds-go/skalds"
)

// Streams brings together clients that wait for something large and the hosts that post it.
type Streams struct {
	cfg    Config
	outbox *outbox

	mu      sync.Mutex // guards waiting
	waiting map[string]*stream
}

// stream is one that a client waits for.
type stream struct {
	token   string
	pipe    *io.PipeWriter
	client  context.Context // ends when nobody reads any more
	begun   chan struct{}   // closed when a host has begun to deliver
	refused chan string     // why its host does not
}

func newStreams(cfg Config, o *outbox) *Streams {
	return &Streams{cfg: cfg, outbox: o, waiting: map[string]*stream{}}
}

// errNoHost says that no host began to deliver in time.
var errNoHost = errors.New("no answer")

// open asks a node for a stream and returns when the node has begun to deliver. The reader ends with the stream, with ctx,
// or by Close, whichever comes first; closing it ends the host's sending too.
func (s *Streams) open(ctx context.Context, nodeID string, r skalds.StreamRequest) (io.ReadCloser, error) {
	if s.cfg.ServerURL == "" {
		return nil, skalds.Errorf(skalds.CodeUnavailable, "this controller has no address that hosts could send to: set server_url")
	}
	reader, writer := io.Pipe()
	r.ID, r.Token = rand.Text(), rand.Text()
	r.URL = strings.TrimSuffix(s.cfg.ServerURL, "/") + "/api/internal/streams/" + url.PathEscape(r.ID)
	client, leave := context.WithCancelCause(ctx)
	context.AfterFunc(client, func() { _ = reader.CloseWithError(context.Cause(client)) })
	w := &stream{token: r.Token, pipe: writer, client: client, begun: make(chan struct{}), refused: make(chan string, 1)}
	s.mu.Lock()
	s.waiting[r.ID] = w
	s.mu.Unlock()
	giveUp := func(err error) (io.ReadCloser, error) {
		s.mu.Lock()
		delete(s.waiting, r.ID)
		s.mu.Unlock()
		leave(err) // a host that began at the last moment ends at once
		return nil, err
	}
	if !s.outbox.send(nodeID, skalds.NodeMessage{Stream: &r}) {
		return giveUp(errNoHost)
	}
	timer := time.NewTimer(s.cfg.StreamTimeout)
	defer timer.Stop()
	select {
	case <-w.begun:
		return &streamReader{reader, leave}, nil
	case why := <-w.refused:
		return giveUp(skalds.Errorf(skalds.CodeUnavailable, "node %s refuses: %s", nodeID, why))
	case <-ctx.Done():
		return giveUp(context.Cause(ctx))
	case <-timer.C:
		return giveUp(errNoHost)
	}
}

type streamReader struct {
	*io.PipeReader
	leave context.CancelCauseFunc
}

func (r *streamReader) Close() error {
	r.leave(io.ErrClosedPipe)
	return r.PipeReader.Close()
}

// claim finds the stream that a host has the token of; nobody finds it again.
func (s *Streams) claim(id, token string) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[id]
	if w == nil || subtle.ConstantTimeCompare([]byte(w.token), []byte(token)) != 1 {
		return nil, skalds.Errorf(skalds.CodeNotFound, "nobody waits for this stream (any more)")
	}
	delete(s.waiting, id)
	return w, nil
}

// Deliver hands body to whoever waits for the id, and returns when it has been read or nobody waits any more. In the latter
// case it closes body, which must wake a Read that waits for the host's next line.
func (s *Streams) Deliver(ctx context.Context, id, token string, body io.ReadCloser) error {
	w, err := s.claim(id, token)
	if err != nil {
		return err
	}
	close(w.begun)
	defer context.AfterFunc(w.client, func() { _ = body.Close() })()
	defer context.AfterFunc(ctx, func() { _ = w.pipe.CloseWithError(context.Cause(ctx)) })()
	_, err = io.Copy(w.pipe, body)
	if w.client.Err() != nil || ctx.Err() != nil && err != nil {
		return nil // the client has seen enough, or the host has left
	}
	if closeErr := w.pipe.CloseWithError(err); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("deliver stream: %w", err)
	}
	return nil
}

// maxRefusalBytes bounds the reason of a host.
const maxRefusalBytes = 1 << 10

// Refuse tells whoever waits for the id why its host does not deliver.
func (s *Streams) Refuse(id, token, reason string) error {
	w, err := s.claim(id, token)
	if err != nil {
		return err
	}
	w.refused <- reason[:min(len(reason), maxRefusalBytes)]
	return nil
}
