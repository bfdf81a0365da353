package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Config says between what a proxy stands.
type Config struct {
	// Listen is where the program finds it, as host:port; empty: a free port of 127.0.0.1.
	Listen string
	// Target is where the service is, as host:port.
	Target string
	// Kafka says that the service is a Kafka broker. Its answers name the address under which it wants to be reached, and clients
	// go there; so Target's port becomes the proxy's in all of them. The hosts of Listen and Target must be the same.
	Kafka bool
}

// Proxy passes bytes on until it is told not to. It is safe for concurrent use.
type Proxy struct {
	cfg    Config
	addr   string
	port   *reservedPort
	answer rewriter
	wg     sync.WaitGroup
	ctx    context.Context // ends with Close
	end    context.CancelFunc

	setting  sync.Mutex // held while a fault is put into force; guards listener
	listener net.Listener

	mu      sync.Mutex // guards the rest
	fault   Fault
	changed chan struct{} // closed when fault changes
	links   map[*link]struct{}
	passed  int64
}

// Start starts one with a good way. The service need not be there: a connection that comes meanwhile is reset.
func Start(cfg Config) (*Proxy, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	port, err := reserve(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("start a proxy on %s: %w", cfg.Listen, err)
	}
	p := &Proxy{cfg: cfg, port: port, addr: port.addr, changed: make(chan struct{}), links: map[*link]struct{}{}}
	if cfg.Kafka {
		p.answer, err = rewritePort(cfg.Target, p.addr)
	}
	if err == nil {
		p.ctx, p.end = context.WithCancel(context.Background())
		err = p.listen()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a proxy to %s: %w", cfg.Target, err), port.Close())
	}
	return p, nil
}

// Addr is where it listens, as host:port. It stays the same, also while connections are refused.
func (p *Proxy) Addr() string { return p.addr }

// Set puts a fault into force in place of the one before, and returns when it is.
func (p *Proxy) Set(f Fault) error {
	p.setting.Lock()
	defer p.setting.Unlock()
	if err := context.Cause(p.ctx); err != nil {
		return fmt.Errorf("set a fault of the proxy to %s: it is closed", p.cfg.Target)
	}
	p.mu.Lock()
	p.fault = f
	for l := range p.links {
		l.allow(f.CutAfter)
	}
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	if !f.Refuse {
		return p.listen()
	}
	err := p.deafen()
	p.Reset()
	return err
}

// Reset resets the connections that there are; new ones are welcome, unless a fault says otherwise.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

// Connections is how many there are.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Passed is how many bytes have passed since the start, both directions together.
func (p *Proxy) Passed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

// Close resets all connections and gives the port free. Safe to call twice.
func (p *Proxy) Close() error {
	p.end()
	p.setting.Lock()
	err := errors.Join(p.deafen(), p.port.Close())
	p.setting.Unlock()
	p.Reset()
	p.wg.Wait()
	return err
}

// listen opens the port where it is closed.
func (p *Proxy) listen() error {
	if p.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.listener = l
	p.wg.Go(func() { p.accept(l) })
	return nil
}

// deafen closes the port.
func (p *Proxy) deafen() error {
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	return err
}

func (p *Proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || p.ctx.Err() != nil {
				return
			}
			select { // out of descriptors, for instance
			case <-time.After(10 * time.Millisecond):
			case <-p.ctx.Done():
			}
			continue
		}
		p.wg.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

// dialTimeout bounds the way to the service, which is a short one.
const dialTimeout = 5 * time.Second

func (p *Proxy) serve(client *net.TCPConn) {
	ctx, cancel := context.WithCancel(p.ctx)
	l := &link{proxy: p, client: client, done: ctx.Done(), cancel: cancel}
	if !p.add(l) {
		l.reset()
		return
	}
	defer p.remove(l)
	defer l.reset()
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "tcp", p.cfg.Target)
	if err != nil {
		return
	}
	l.carry(c.(*net.TCPConn))
}

// add takes a connection in, unless all are refused.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault.Refuse || p.ctx.Err() != nil {
		return false
	}
	l.allow(p.fault.CutAfter)
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// now is the fault in force, and what is closed when it is not any more.
func (p *Proxy) now() (Fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}

func (p *Proxy) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed += int64(n)
}
