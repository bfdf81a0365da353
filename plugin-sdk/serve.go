package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
	plugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/skalds-go/skalds/plugin-sdk/protocol"
)

// Serve is a worker's whole main. Started by a Skalds host it serves one task; started by a person it is a command line
// (run, describe, version). version is a semantic version. It does not return.
//
// As the first process of a pid namespace (number 1) it also reaps orphans, if main calls it on its own goroutine. Children
// that were started with os/exec are left to those who wait for them; wait for what was started ahead of Serve before it.
func Serve(name, version string, classes ...ClassDef) {
	w := &workerProgram{name: name, version: version, classes: classes}
	if err := w.check(); err != nil {
		fmt.Fprintf(os.Stderr, "worker %s cannot serve: %v\n", name, err)
		os.Exit(2)
	}
	besideReaper(func() {
		if os.Getenv(protocol.EnvCookieKey) == protocol.EnvCookieValue && len(os.Args) < 2 {
			w.serve()
			os.Exit(0)
		}
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, cancel) // a second signal kills
		os.Exit(w.commandLine(ctx, os.Args[1:], os.Stdout, os.Stderr))
	})
}

// NewWorker makes what Serve serves, for one task, without a process around it: package sdktest and programs that speak the
// protocol over a connection of their own use it. A nil log discards; nil services
// are those of a worker that runs alone.
func NewWorker(name, version string, log hclog.Logger, services protocol.HostServices, classes ...ClassDef) (protocol.Worker, error) {
	w := &workerProgram{name: name, version: version, classes: classes}
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("worker %s: %w", name, err)
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	if services == nil {
		services = newLocalServices("", nil)
	}
	return newSession(w, log, func() (protocol.HostServices, error) { return services, nil }, nil), nil
}

// workerProgram is the executable: its name, version and classes.
type workerProgram struct {
	name, version string
	classes       []ClassDef
}

var (
	namePattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	versionPattern = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
)

// check finds what an author can get wrong in the arguments of Serve.
func (w *workerProgram) check() error {
	var errs []error
	if !namePattern.MatchString(w.name) {
		errs = append(errs, fmt.Errorf("name %q: want letters, digits, dots, underscores and dashes", w.name))
	}
	if !versionPattern.MatchString(w.version) {
		errs = append(errs, fmt.Errorf("version %q: want a semantic version such as 1.2.3", w.version))
	}
	if len(w.classes) == 0 {
		errs = append(errs, errors.New("no class: pass at least one sdk.Class"))
	}
	seen := map[string]bool{}
	for _, c := range w.classes {
		if !namePattern.MatchString(c.name) {
			errs = append(errs, fmt.Errorf("class name %q: want letters, digits, dots, underscores and dashes", c.name))
		}
		if seen[c.name] {
			errs = append(errs, fmt.Errorf("class %s is defined twice", c.name))
		}
		seen[c.name] = true
	}
	return errors.Join(errs...)
}

func (w *workerProgram) class(name string) (*ClassDef, error) {
	names := make([]string, 0, len(w.classes))
	for i := range w.classes {
		if w.classes[i].name == name {
			return &w.classes[i], nil
		}
		names = append(names, w.classes[i].name)
	}
	return nil, fmt.Errorf("worker %s offers no class %q, it offers %s", w.name, name, strings.Join(names, ", "))
}

// identity is the description without its classes.
func (w *workerProgram) identity() protocol.Description {
	return protocol.Description{Name: w.name, Version: w.version, SDK: "go/" + Version}
}

func (w *workerProgram) describe() (protocol.Description, error) {
	d := w.identity()
	for i := range w.classes {
		c, err := w.classes[i].describe()
		if err != nil {
			return d, err
		}
		d.Classes = append(d.Classes, c)
	}
	return d, nil
}

// serve speaks with a host until it ends the process.
func (w *workerProgram) serve() {
	stderr, host := os.Stderr, os.Getppid()
	stdout := guardHandshake(stderr)
	log := hclog.New(&hclog.LoggerOptions{Name: w.name, Level: logLevel(), Output: stderr, JSONFormat: true})
	end := newEnding(log).now
	if watchLiveness(end) {
		if err := watchParent(host, end); err != nil {
			log.Debug("cannot see whether the parent stands still", "err", err)
		}
	}
	token, err := readToken()
	if err != nil {
		log.Error("cannot serve", "err", err)
		os.Exit(1)
	}
	s := newSession(w, log,
		func() (protocol.HostServices, error) { return hostServicesFromEnv(token) },
		// go-plugin replaces both by pipes of its own, from which a host reads what is printed ahead of its first call; what is
		// printed afterwards shall reach it whatever happens to RPC.
		func() { os.Stdout, os.Stderr = stdout(), stderr })
	go s.stopOnSignal(host, end)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: protocol.Handshake(),
		Plugins:         protocol.Plugins(s, token),
		Logger:          hclog.NewNullLogger(),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts,
				grpc.MaxRecvMsgSize(protocol.MaxMessageBytes), grpc.MaxSendMsgSize(protocol.MaxMessageBytes),
				grpc.ReadBufferSize(16<<10), grpc.WriteBufferSize(16<<10))...)
		},
	})
}

func readToken() (string, error) {
	path := os.Getenv(protocol.EnvTokenFile)
	if path == "" {
		return "", fmt.Errorf("%s is not set: this process was not started by a Skalds host", protocol.EnvTokenFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func logLevel() hclog.Level {
	if l := hclog.LevelFromString(os.Getenv(protocol.EnvLogLevel)); l != hclog.NoLevel {
		return l
	}
	return hclog.Info
}
