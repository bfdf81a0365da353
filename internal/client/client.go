package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/controller/masking"
)

// DefaultServer is where a standalone listens unless told otherwise.
const DefaultServer = "http://127.0.0.1:8000"

// requestTimeout bounds every call but streams and those whose ctx has a deadline of its own.
const requestTimeout = 30 * time.Second

// Client speaks to one controller. It is safe for concurrent use.
type Client struct {
	server string
	token  string
	http   *http.Client
}

// New makes a client of the controller at server ("" = DefaultServer; the scheme may be left out). token may be empty.
func New(server, token string) *Client {
	server = strings.TrimRight(strings.TrimSpace(server), "/")
	if server == "" {
		server = DefaultServer
	}
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	return &Client{server: server, token: token, http: &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   16,
	}}}
}

// Server is the address that it speaks to, without credentials.
func (c *Client) Server() string { return masking.Text(c.server) }

// Close closes idle connections. The client can be used afterwards.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

type option func(*http.Request)

func header(key, value string) option {
	return func(r *http.Request) {
		if value != "" {
			r.Header.Set(key, value)
		}
	}
}

// call sends a request and reads the answer into out (nil: it is not wanted).
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any, options ...option) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
	res, err := c.open(ctx, method, path, query, in, options...)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // nothing is lost: it has been read
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	return nil
}

// open sends a request and hands over the answer where it is a good one.
func (c *Client) open(ctx context.Context, method, path string, query url.Values, in any, options ...option) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write the body of %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	address := c.server + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, skalds.Errorf(skalds.CodeInvalid, "%q is no address of a skalds server: write it like %s (--server or SKALDS_SERVER)", c.Server(), DefaultServer)
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	header("Authorization", authorization(c.token))(req)
	for _, o := range options {
		o(req)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if res.StatusCode >= 400 {
		defer res.Body.Close() //nolint:errcheck // nothing is lost: it has been read
		return nil, problemOf(res)
	}
	return res, nil
}

func authorization(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

// unreachable says why no answer came and what to do.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return &skalds.Error{Code: skalds.CodeUnavailable, Message: fmt.Sprintf("skalds at %s did not answer in time", c.Server()), Err: ctx.Err()}
		}
		return context.Cause(ctx)
	}
	why := err.Error()
	var u *url.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		why = errno.Error() // without "dial tcp …": the address is in the sentence
	case errors.As(err, &u):
		why = u.Err.Error()
	}
	return skalds.Errorf(skalds.CodeUnavailable, "cannot reach %s: %s: is this the right address (--server, SKALDS_SERVER)? In a cluster name another of its controllers; on one machine `skalds standalone` starts everything", c.Server(), masking.Text(why))
}

// problemOf turns an error answer into an error that people can act on.
func problemOf(res *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return skalds.Errorf(skalds.CodeUnavailable, "the answer broke off: %v", err)
	}
	var p api.Problem
	if json.Unmarshal(b, &p) != nil || p.Detail == "" {
		text := strings.TrimSpace(string(b))
		if len(text) > 200 {
			text = text[:200] + "…"
		}
		return skalds.Errorf(codeOf(res.StatusCode), "the server answered %s, which is no answer of skalds: %s", res.Status, text)
	}
	e := &skalds.Error{Code: p.Code, Message: p.Detail}
	if e.Code == "" {
		e.Code = codeOf(res.StatusCode)
	}
	if res.StatusCode == http.StatusUnauthorized {
		e.Message += " (--token or SKALDS_TOKEN)"
	}
	for _, f := range p.Errors {
		e.Fields = append(e.Fields, skalds.FieldError{Field: f.Field, Message: f.Message})
	}
	return e
}

func codeOf(status int) skalds.Code {
	switch {
	case status == http.StatusNotFound:
		return skalds.CodeNotFound
	case status == http.StatusConflict || status == http.StatusPreconditionFailed:
		return skalds.CodeConflict
	case status == http.StatusRequestEntityTooLarge:
		return skalds.CodeTooLarge
	case status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout:
		return skalds.CodeUnavailable
	case status < 500:
		return skalds.CodeInvalid
	}
	return skalds.CodeInternal
}
