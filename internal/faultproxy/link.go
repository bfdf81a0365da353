package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// link is one connection of the program, and the one to the service that belongs to it.
type link struct {
	proxy  *Proxy
	done   <-chan struct{} // closed when it is reset
	cancel context.CancelFunc

	mu     sync.Mutex // guards the rest
	client *net.TCPConn
	target *net.TCPConn // nil until the service has answered
	gone   bool
	left   int64 // bytes that may pass before it is cut; below 0: any number
}

// allow says how many bytes may still pass; 0: any number.
func (l *link) allow(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left = n; n == 0 {
		l.left = -1
	}
}

// take asks to pass n bytes on, and is told how many may.
func (l *link) take(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left < 0 {
		return n
	}
	n = int(min(int64(n), l.left))
	l.left -= int64(n)
	return n
}

// spent reports whether nothing may pass any more.
func (l *link) spent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left == 0
}

// reset ends both connections at once: who uses them gets an error, not an end.
func (l *link) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return
	}
	l.gone = true
	l.cancel()
	for _, c := range []*net.TCPConn{l.client, l.target} {
		if c != nil {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
	}
}

// carry passes bytes on until both directions have ended or it is reset.
func (l *link) carry(target *net.TCPConn) {
	l.mu.Lock()
	if l.gone {
		l.mu.Unlock()
		_ = target.Close()
		return
	}
	l.target = target
	l.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { l.pump(l.client, target, nil) })
	wg.Go(func() { l.pump(target, l.client, l.proxy.answer) })
	wg.Wait()
}

// chunk is what was read at once.
type chunk struct {
	data []byte
	at   time.Time
}

// chunksUnderWay bounds what is held of one direction, and so what passes in a second through a way with a delay.
const chunksUnderWay = 256

// pump passes one direction on to its end. A read goes on while what was read before is still delayed, so that a slow way is a long
// one and not a narrow one.
func (l *link) pump(from, to *net.TCPConn, change rewriter) {
	chunks := make(chan chunk, chunksUnderWay)
	l.proxy.wg.Go(func() {
		defer close(chunks)
		read := plain(from)
		if change != nil {
			read = change(from)
		}
		for {
			data, err := read()
			if len(data) > 0 {
				select {
				case chunks <- chunk{data, time.Now()}:
				case <-l.done:
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					l.reset()
				}
				return
			}
		}
	})
	for c := range chunks {
		if !l.hold(c.at) || !l.pass(to, c.data) {
			l.reset()
			for range chunks { // the reader ends with the connection
			}
			return
		}
	}
	_ = to.CloseWrite() // where it was reset, this says nothing new
}

// hold waits until what was read at a time may pass; false: the connection was reset meanwhile.
func (l *link) hold(at time.Time) bool {
	for {
		fault, changed := l.proxy.now()
		wait := time.Until(at.Add(fault.Delay))
		switch {
		case fault.Stall:
			select {
			case <-changed:
			case <-l.done:
				return false
			}
		case wait > 0:
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-changed:
			case <-l.done:
				timer.Stop()
				return false
			}
			timer.Stop()
		default:
			return true
		}
	}
}

// pass writes as much as it may; false: the connection is over.
func (l *link) pass(to *net.TCPConn, data []byte) bool {
	n, err := to.Write(data[:l.take(len(data))])
	l.proxy.count(n)
	return err == nil && !l.spent()
}

// plain reads what comes as it comes.
func plain(from io.Reader) func() ([]byte, error) {
	return func() ([]byte, error) {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		return b[:n], err
	}
}
