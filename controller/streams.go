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
	token string
	pipe  *io.PipeWriter
	begun chan struct{} // closed when a host has begun to deliver
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
	w := &stream{token: r.Token, pipe: writer, begun: make(chan struct{})}
	s.mu.Lock()
	s.waiting[r.ID] = w
	s.mu.Unlock()
	forget := func() {
		s.mu.Lock()
		delete(s.waiting, r.ID)
		s.mu.Unlock()
	}
	if !s.outbox.send(nodeID, skalds.NodeMessage{Stream: &r}) {
		forget()
		return nil, errNoHost
	}
	timer := time.NewTimer(s.cfg.StreamTimeout)
	defer timer.Stop()
	select {
	case <-w.begun:
	case <-ctx.Done():
		forget()
		_ = reader.Close()
		return nil, context.Cause(ctx)
	case <-timer.C:
		s.mu.Lock()
		delete(s.waiting, r.ID)
		s.mu.Unlock()
		select {
		case <-w.begun: // at the last moment
		default:
			_ = reader.Close()
			return nil, errNoHost
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = reader.CloseWithError(context.Cause(ctx)) })
	return &streamReader{reader, stop}, nil
}

type streamReader struct {
	*io.PipeReader
	stop func() bool
}

func (r *streamReader) Close() error {
	r.stop()
	return r.PipeReader.Close()
}

// Deliver hands body to whoever waits for the id, and returns when it has been read or nobody waits any more.
func (s *Streams) Deliver(ctx context.Context, id, token string, body io.Reader) error {
	s.mu.Lock()
	w := s.waiting[id]
	if w != nil && subtle.ConstantTimeCompare([]byte(w.token), []byte(token)) == 1 {
		delete(s.waiting, id) // once
		close(w.begun)
	} else {
		w = nil
	}
	s.mu.Unlock()
	if w == nil {
		return skalds.Errorf(skalds.CodeNotFound, "nobody waits for this stream (any more)")
	}
	stop := context.AfterFunc(ctx, func() { _ = w.pipe.CloseWithError(context.Cause(ctx)) })
	defer stop()
	_, err := io.Copy(w.pipe, body)
	if errors.Is(err, io.ErrClosedPipe) {
		return nil // the client has seen enough
	}
	if ctx.Err() != nil && err != nil {
		return nil
	}
	if closeErr := w.pipe.CloseWithError(err); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("deliver stream: %w", err)
	}
	return nil
}
