package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// servicesWithin is how long services may take to start: where nothing of them is on this machine yet, they are fetched.
const servicesWithin = 5 * time.Minute

// services are a Kafka, a Redis and a MongoDB that controllers and hosts reach.
type services struct {
	kafka, redis, mongo string
	are                 string // what they are, for people
	lender              *exec.Cmd
	ending              io.Closer // what the lender waits for the end of
}

// services are those that the environment names, or else some that are started once and run as long as the lab. Where a machine has
// none and can start none, why says so.
func (l *lab) services(ctx context.Context) (s *services, why string, err error) {
	if l.lent != nil {
		return l.lent, "", nil
	}
	named := &services{kafka: os.Getenv("SKALDS_TEST_KAFKA"), redis: os.Getenv("SKALDS_TEST_REDIS"), mongo: os.Getenv("SKALDS_TEST_MONGO")}
	if named.kafka != "" && named.redis != "" && named.mongo != "" {
		named.are = "those of SKALDS_TEST_KAFKA, SKALDS_TEST_REDIS and SKALDS_TEST_MONGO"
		l.lent = named
	} else if why = cannotLend(); why != "" {
		return nil, why, nil
	} else if l.lent, err = l.lend(ctx); err != nil {
		return nil, "", err
	}
	fmt.Fprintf(l.notes, "services: %s\n", l.lent.are)
	return l.lent, "", nil
}

// cannotLend says why services cannot be started here; empty: they can.
func cannotLend() string {
	const instead = "; SKALDS_TEST_KAFKA, SKALDS_TEST_REDIS and SKALDS_TEST_MONGO name services that run"
	if runtime.GOOS != "linux" {
		return "services are started on Linux only" + instead
	}
	for _, p := range []string{"bash", "java", "mvn", "python3"} {
		if _, err := exec.LookPath(p); err != nil {
			return "services cannot be started without " + p + instead
		}
	}
	return ""
}

// lend starts services. They end when this process does, however that ends: the script sees the end of its input.
func (l *lab) lend(ctx context.Context) (_ *services, err error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, fmt.Errorf("find the checkout: %w", err)
	}
	c := exec.Command(filepath.Join(strings.TrimSpace(string(root)), "scripts", "lend-services.sh"))
	c.Env = append(os.Environ(), "SERVICES_RUN="+filepath.Join(l.dir, "services"))
	c.Stderr = l.notes
	c.SysProcAttr = apart() // it stops the services when Ctrl-C ends us
	in, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.start(c); err != nil {
		return nil, fmt.Errorf("start services: %w", err)
	}
	s := &services{lender: c, ending: in}
	told := make(chan error, 1)
	go func() { told <- s.read(out) }()
	select {
	case err = <-told:
	case <-time.After(servicesWithin):
		err = fmt.Errorf("services are not there after %s", servicesWithin)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM) // it may be fetching something; its services have sessions of their own
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// read reads what the script says until it has said everything.
func (s *services) read(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch key {
		case "KAFKA_BROKERS":
			s.kafka = value
		case "REDIS_ADDR":
			s.redis = value
		case "MONGO_URI":
			s.mongo = value
		case "SERVICES":
			s.are = value
			return nil
		}
	}
	return errors.Join(errors.New("services were not started, see above"), lines.Err())
}

// Close stops the services that were started, and waits until they are gone.
func (s *services) Close() error {
	if s.lender == nil {
		return nil
	}
	err := s.ending.Close()
	if waitErr := s.lender.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("stop services: %w", waitErr))
	}
	return err
}
