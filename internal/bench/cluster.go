package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/client"
)

// cluster is a host that is reached through services, and the settings of everything that is to reach it. Controllers are added.
type cluster struct {
	lab    *lab
	env    []string // of controllers
	dir    string   // of the host's data
	node   string
	host   *program
	living []*controllerProgram
}

// controllerProgram is a running `skalds controller`, and how tasks are created at it.
type controllerProgram struct {
	site
	*program
}

// withCluster gives fn a fresh cluster, and stops it. Its store is MongoDB, or, where there is to be one controller only, a file. why is not
// empty where the machine has no services.
func (l *lab) withCluster(ctx context.Context, storeIsFile bool, fn func(*cluster) error) (why string, err error) {
	at, why, err := l.services(ctx)
	if err != nil || why != "" {
		return why, err
	}
	room, err := l.room()
	if err != nil {
		return "", err
	}
	own := fmt.Sprintf("bench-%d-%d", os.Getpid(), l.rooms)
	c := &cluster{lab: l, dir: filepath.Join(room, "data"), node: own}
	bus := []string{"KAFKA_HOST=" + at.kafka, "REDIS_HOST=" + at.redis}
	c.env = bus
	if !storeIsFile {
		c.env = append(slices.Clip(bus), "MONGO_HOST="+at.mongo, fmt.Sprintf("DB_NAME=bench_%d", time.Now().UnixNano()))
	}
	defer func() { err = errors.Join(err, c.stop(err)) }()
	c.host, err = l.run(ctx, "host "+own, room, bus, "host", "--mode", "node", "--data-dir", c.dir,
		"--plugins", l.plugins(), "--node-id", own, "--log-level", "WARNING")
	if err != nil {
		return "", err
	}
	return "", fn(c)
}

// stop ends all that still runs: the host first, which tells how its tasks ended.
func (c *cluster) stop(failed error) error {
	var errs []error
	if c.host != nil {
		errs = append(errs, c.host.stop())
	}
	for _, p := range c.living {
		if p.Client != nil {
			_ = p.Close() // idle connections
		}
		if p.lives() == nil {
			errs = append(errs, p.stop())
		}
	}
	if err := errors.Join(errs...); err == nil && failed == nil {
		return nil
	}
	if c.host != nil {
		c.host.tell(c.lab)
	}
	for _, p := range c.living {
		p.tell(c.lab)
	}
	return errors.Join(errs...)
}

var pageAt = regexp.MustCompile(`page=(http://[^/]+)/dashboard`)

// controller adds one, and returns when it can be given tasks for the host.
func (c *cluster) controller(ctx context.Context) (*controllerProgram, error) {
	room, err := c.lab.room()
	if err != nil {
		return nil, err
	}
	p := &controllerProgram{site: site{dir: c.dir}}
	if p.program, err = c.lab.run(ctx, "controller", room, c.env, "controller", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(room, "data")); err != nil {
		return nil, err
	}
	c.living = append(c.living, p)
	var looked time.Time
	return p, until(ctx, "a controller answers, and knows that "+c.node+" offers the worker", func() (bool, error) {
		if err := errors.Join(p.lives(), c.host.lives()); err != nil {
			return false, err
		}
		if p.Client == nil {
			m := pageAt.FindStringSubmatch(p.text())
			if m == nil {
				return false, nil
			}
			p.Client = client.New(m[1], "")
		}
		if time.Since(looked) < 20*time.Millisecond { // each look costs the services some
			return false, nil
		}
		looked = time.Now()
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if p.Ready(short) != nil { // somebody leads
			return false, nil
		}
		workers, err := p.Workers(short)
		return err == nil && slices.ContainsFunc(workers.Items, func(w controller.WorkerOnNodes) bool { return w.Name == workerName && slices.Contains(w.Nodes, c.node) }), nil
	})
}

// leadsAt is when the controller was heard to say that it leads; false: it has not.
func (p *controllerProgram) leadsAt() (time.Time, bool) { return p.saidAt("this controller leads") }
