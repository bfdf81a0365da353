package host

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds"
)

// Bounds of streams.
const (
	maxStreams    = 64              // served at once
	maxRefusals   = 16              // told at once
	refuseTimeout = 5 * time.Second // for telling one
	dialTimeout   = 5 * time.Second
)

// streams posts logs to the controller that asks for them: the host dials, so that it may stand behind NAT.
type streams struct {
	logs  *taskLogs
	log   hclog.Logger
	slots chan struct{}
	noes  chan struct{} // slots of refusals
	wg    sync.WaitGroup
}

func newStreams(logs *taskLogs, log hclog.Logger) *streams {
	return &streams{logs: logs, log: log, slots: make(chan struct{}, maxStreams), noes: make(chan struct{}, maxRefusals)}
}

// transport is for one post. It calls broken when the connection breaks: net/http itself finds out at the next line of the
// body, which may be hours away.
func transport(broken func()) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &http.Transport{TLSHandshakeTimeout: dialTimeout, DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &watchedConn{c, broken}, nil
	}}
}

// watchedConn tells when nothing can be read from it any more.
type watchedConn struct {
	net.Conn
	broken func()
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.broken()
	}
	return n, err
}

// serve answers one request on a goroutine of its own, until ctx ends.
func (s *streams) serve(ctx context.Context, req skalds.StreamRequest) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.log.Warn("too many streams are asked for at once", "task_id", req.TaskID, "limit", maxStreams)
		s.refuse(ctx, req, fmt.Sprintf("%d logs are being read there already, more are not served: end some", maxStreams))
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		if err := s.post(ctx, req); err != nil && ctx.Err() == nil {
			s.log.Debug("a stream ended early", "task_id", req.TaskID, "kind", req.Kind, "err", err)
		}
	})
}

// refuse tells the controller beside why it does not get a stream; without the word it would wait in vain.
func (s *streams) refuse(ctx context.Context, req skalds.StreamRequest, reason string) {
	select {
	case s.noes <- struct{}{}:
	default:
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.noes }()
		ctx, cancel := context.WithTimeout(ctx, refuseTimeout)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, req.URL, nil)
		if err == nil {
			r.Header.Set(skalds.StreamRefusedHeader, reason)
			err = s.send(r, req, func() {})
		}
		if err != nil && ctx.Err() == nil {
			s.log.Debug("cannot refuse a stream", "task_id", req.TaskID, "err", err)
		}
	})
}

func (s *streams) post(ctx context.Context, req skalds.StreamRequest) error {
	if req.Kind != "logs" {
		return fmt.Errorf("post stream: %q is no kind of stream that this host knows", req.Kind)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = w.CloseWithError(s.writeLogs(ctx, w, req))
	}()
	defer func() { cancel(); _ = body.Close(); <-written }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, req.URL, body)
	if err != nil {
		return fmt.Errorf("post stream: %w", err)
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	return s.send(r, req, func() { _ = body.Close() })
}

// send posts to the controller that waits.
func (s *streams) send(r *http.Request, req skalds.StreamRequest, broken func()) error {
	t := transport(broken)
	defer t.CloseIdleConnections()
	r.Header.Set("Authorization", "Bearer "+req.Token)
	resp, err := (&http.Client{Transport: t}).Do(r)
	if err != nil {
		return fmt.Errorf("post stream: %w", err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("post stream: %w", err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("post stream: the controller answers %s", resp.Status)
	}
	return nil
}

// writeLogs writes the last lines of a task's log and, where asked for, those to come.
func (s *streams) writeLogs(ctx context.Context, w io.Writer, req skalds.StreamRequest) error {
	tail := req.Tail
	if tail <= 0 && !req.Follow {
		tail = 100
	}
	if !req.Follow {
		lines, err := s.logs.tail(req.TaskID, tail)
		return writeLines(w, lines, err)
	}
	lines, reader, err := s.logs.follow(req.TaskID, tail)
	if err := writeLines(w, lines, err); err != nil || reader == nil {
		return err
	}
	defer reader.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, open := <-reader.Lines:
			if !open {
				return nil
			}
			reader.took(line)
			if err := writeLines(w, []string{line}, nil); err != nil {
				return err
			}
		}
	}
}

func writeLines(w io.Writer, lines []string, err error) error {
	if err != nil {
		return err
	}
	for _, l := range lines {
		if _, err := io.WriteString(w, l+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// close waits until every stream has ended; their context must have ended before.
func (s *streams) close() {
	s.wg.Wait()
}
