package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/masking"
)

type requestKey struct{}

// request is what the handlers need to know of their request beside its parameters.
type request struct {
	id  string
	who string // for the audit
}

func requestID(ctx context.Context) string {
	r, _ := ctx.Value(requestKey{}).(request)
	return r.id
}

// who names the caller for the audit.
func who(ctx context.Context) string {
	r, _ := ctx.Value(requestKey{}).(request)
	return r.who
}

func newRequestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// guard is what every request passes: a request id, checks of where it comes from, and one spelling of paths.
func (r *routes) guard(mux *http.ServeMux) http.Handler {
	csrf := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		from, _, err := net.SplitHostPort(req.RemoteAddr)
		if err != nil {
			from = req.RemoteAddr
		}
		about := request{id: newRequestID(), who: "rest@" + from}
		req = req.WithContext(context.WithValue(req.Context(), requestKey{}, about))
		w.Header().Set("X-Request-Id", about.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if strings.HasPrefix(req.URL.Path, "/api") {
			w.Header().Set("Cache-Control", "no-store")
		}
		seen := &statusWriter{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				r.log.Error("a handler panicked", "request_id", about.id, "path", req.URL.Path, "reason", masking.Text(fmt.Sprint(v)), "stack", string(debug.Stack()))
				if seen.status == 0 {
					r.writeProblem(w, newProblem(http.StatusInternalServerError, skalds.CodeInternal, "internal error: the log of the controller tells more under the request id "+about.id, about.id))
				}
			}
		}()

		if p := r.refuse(req, csrf); p != nil {
			p.RequestID = about.id
			if p.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="skalds"`)
			}
			r.writeProblem(w, p)
			return
		}
		trimSlash(req)
		if _, pattern := mux.Handler(req); pattern == "" {
			r.noRoute(w, req, mux)
			return
		}
		mux.ServeHTTP(seen, req)
	})
}

// refuse says why a request is not even looked at; nil: it is.
func (r *routes) refuse(req *http.Request, csrf *http.CrossOriginProtection) *Problem {
	if !r.hostAllowed(req) {
		return newProblem(http.StatusMisdirectedRequest, skalds.CodeInvalid,
			fmt.Sprintf("the name %q is not one of this server: use localhost or its address, or allow the name in the configuration", req.Host), "")
	}
	if err := csrf.Check(req); err != nil {
		return newProblem(http.StatusForbidden, skalds.CodeInvalid, "a page of another origin must not change anything here: "+err.Error(), "")
	}
	if !r.authorized(req) {
		return newProblem(http.StatusUnauthorized, skalds.CodeInvalid, "a token is needed: send \"Authorization: Bearer TOKEN\"", "")
	}
	if ct := req.Header.Get("Content-Type"); ct != "" && req.ContentLength != 0 && !strings.HasPrefix(req.URL.Path, "/api/internal/") {
		media, _, _ := strings.Cut(ct, ";")
		if !strings.EqualFold(strings.TrimSpace(media), "application/json") {
			return newProblem(http.StatusUnsupportedMediaType, skalds.CodeInvalid,
				fmt.Sprintf("the body is said to be %s: send JSON with the header \"Content-Type: application/json\"", media), "")
		}
	}
	return nil
}

// hostAllowed guards loopback listeners against names that a foreign page has rebound to this machine.
func (r *routes) hostAllowed(req *http.Request) bool {
	local, ok := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	tcp, ok := local.(*net.TCPAddr)
	if !ok || !tcp.IP.IsLoopback() {
		return true
	}
	host := req.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host) != nil {
		return true
	}
	for _, allowed := range r.cfg.AllowedHosts {
		if strings.EqualFold(host, allowed) {
			return true
		}
	}
	return false
}

func (r *routes) authorized(req *http.Request) bool {
	path := req.URL.Path
	if r.cfg.Token == "" || !strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/api/internal/") {
		return true
	}
	return subtle.ConstantTimeCompare([]byte(bearer(req)), []byte(r.cfg.Token)) == 1
}

func bearer(req *http.Request) string {
	scheme, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// trimSlash makes /api/tasks/ and /api/tasks one path; an encoded slash at the end of an id stays.
func trimSlash(req *http.Request) {
	u := *req.URL
	escaped := u.EscapedPath()
	if !strings.HasPrefix(escaped, "/api") || !strings.HasSuffix(escaped, "/") {
		return
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawPath = strings.TrimSuffix(u.RawPath, "/")
	req.URL = &u
}

// noRoute answers what no route matches: redirects as the mux means them, everything else as a problem.
func (r *routes) noRoute(w http.ResponseWriter, req *http.Request, mux *http.ServeMux) {
	said := &statusWriter{ResponseWriter: discard{http.Header{}}}
	mux.ServeHTTP(said, req)
	switch {
	case said.status >= 300 && said.status < 400:
		mux.ServeHTTP(w, req)
	case said.status == http.StatusMethodNotAllowed:
		allow := said.Header().Get("Allow")
		w.Header().Set("Allow", allow)
		r.writeProblem(w, newProblem(said.status, skalds.CodeInvalid, fmt.Sprintf("%s cannot be used on %s: use %s", req.Method, req.URL.Path, allow), requestID(req.Context())))
	default:
		r.writeProblem(w, newProblem(http.StatusNotFound, skalds.CodeNotFound, fmt.Sprintf("there is nothing at %s: /api/docs lists what there is", req.URL.Path), requestID(req.Context())))
	}
}

// statusWriter remembers whether an answer has begun.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements io.Writer.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
