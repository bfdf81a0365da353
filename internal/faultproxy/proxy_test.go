package faultproxy_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/skalds-go/skalds/internal/faultproxy"
)

// patience bounds what happens at once on a machine that does nothing else.
const patience = 20 * time.Second

// echo is a service that says back what it hears; frames is one that answers like Kafka.
func serve(t *testing.T, each func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close() //nolint:errcheck // it is over
				each(c)
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
	return l.Addr().String()
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func start(t *testing.T, cfg faultproxy.Config) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func set(t *testing.T, p *faultproxy.Proxy, f faultproxy.Fault) {
	t.Helper()
	if err := p.Set(f); err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, p *faultproxy.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask says a word and returns what came back, within a time.
func ask(c net.Conn, word string, within time.Duration) (string, error) {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(word)); err != nil {
		return "", err
	}
	b := make([]byte, len(word))
	n, err := io.ReadFull(c, b)
	return string(b[:n]), err
}

func works(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := ask(c, "hello", patience); got != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAGoodWay(t *testing.T) {
	p := start(t, faultproxy.Config{Target: serve(t, echo)})
	c := dial(t, p)
	works(t, c)
	long := strings.Repeat("0123456789", 1<<17)
	if got, err := ask(c, long, patience); got != long || err != nil {
		t.Errorf("got %d of %d bytes, %v", len(got), len(long), err)
	}
	if n := p.Passed(); n != 2*int64(len(long)+len("hello")) {
		t.Errorf("%d bytes have passed", n)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
		t.Errorf("after the end came %q, %v", b, err)
	}
}

func TestRefuse(t *testing.T) {
	p := start(t, faultproxy.Config{Target: serve(t, echo)})
	c := dial(t, p)
	works(t, c)
	for range 3 {
		set(t, p, faultproxy.Fault{Refuse: true})
		if _, err := ask(c, "hello", patience); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a connection of before ended with %v, want a reset", err)
		}
		if c, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a new connection: %v, %v", c, err)
		}
		set(t, p, faultproxy.Fault{})
		c = dial(t, p)
		works(t, c)
	}
}

func TestStall(t *testing.T) {
	p := start(t, faultproxy.Config{Target: serve(t, echo)})
	c := dial(t, p)
	works(t, c)
	set(t, p, faultproxy.Fault{Stall: true})
	for _, c := range []net.Conn{c, dial(t, p)} {
		var slow net.Error
		if got, err := ask(c, "late", 100*time.Millisecond); got != "" || !errors.As(err, &slow) || !slow.Timeout() {
			t.Errorf("got %q, %v through a way that is stalled", got, err)
		}
		set(t, p, faultproxy.Fault{})
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); string(b) != "late" || err != nil {
			t.Errorf("afterwards came %q, %v", b, err)
		}
		set(t, p, faultproxy.Fault{Stall: true})
	}
}

func TestDelay(t *testing.T) {
	p := start(t, faultproxy.Config{Target: serve(t, echo)})
	c := dial(t, p)
	const delay = 50 * time.Millisecond
	set(t, p, faultproxy.Fault{Delay: delay})
	begun := time.Now()
	works(t, c)
	if took := time.Since(begun); took < 2*delay {
		t.Errorf("an answer took %v, want %v at least", took, 2*delay)
	}
	// A long way is not a narrow one.
	begun = time.Now()
	for range 20 {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // so that they are not read at once
	}
	if _, err := io.ReadFull(c, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 20*2*delay {
		t.Errorf("20 words one after the other took %v", took)
	}
}

func TestCutAfter(t *testing.T) {
	p := start(t, faultproxy.Config{Target: serve(t, echo)})
	c := dial(t, p)
	works(t, c)
	set(t, p, faultproxy.Fault{CutAfter: 17}) // ten bytes of question, seven of answer
	for _, c := range []net.Conn{c, dial(t, p)} {
		got, err := ask(c, "0123456789", patience)
		if len(got) > 7 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("got %q, %v, want at most seven bytes and a reset", got, err)
		}
	}
	set(t, p, faultproxy.Fault{})
	works(t, dial(t, p))
}

func TestReset(t *testing.T) {
	p := start(t, faultproxy.Config{Target: serve(t, echo)})
	c := dial(t, p)
	works(t, c)
	p.Reset()
	if _, err := ask(c, "hello", patience); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("it ended with %v, want a reset", err)
	}
	works(t, dial(t, p))
}

func TestTheServiceIsAway(t *testing.T) {
	p := start(t, faultproxy.Config{Target: "127.0.0.1:1"})
	c, err := net.Dial("tcp", p.Addr())
	if err != nil { // it was reset at once
		return
	}
	defer c.Close() //nolint:errcheck // it is over
	if got, err := ask(c, "hello", patience); got != "" || err == nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestClose(t *testing.T) {
	p, err := faultproxy.Start(faultproxy.Config{Target: serve(t, echo)})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	works(t, c)
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := ask(c, "hello", patience); err == nil {
		t.Error("a connection has outlived the proxy")
	}
	if err := p.Set(faultproxy.Fault{}); err == nil {
		t.Error("a closed proxy takes a fault")
	}
	again := start(t, faultproxy.Config{Listen: p.Addr(), Target: serve(t, echo)})
	works(t, dial(t, again))
}

// TestKafkaAnswers looks at answers in which the broker names itself, wherever the pieces end in which they arrive.
func TestKafkaAnswers(t *testing.T) {
	var target string
	answer := func() []byte {
		host, port, _ := net.SplitHostPort(target)
		n, _ := net.LookupPort("tcp", port)
		body := append([]byte("metadata of "+host), binary.BigEndian.AppendUint32(nil, uint32(n))...)
		body = append(body, " and of other 127.0.0.1\x00\x00\x00\x01 end 127.0.0."...)
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	}
	target = serve(t, func(c net.Conn) {
		for {
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				return
			}
			for _, b := range answer() {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
			}
		}
	})
	p := start(t, faultproxy.Config{Target: target, Kafka: true})
	want := answer()
	_, port, _ := net.SplitHostPort(p.Addr())
	n, _ := net.LookupPort("tcp", port)
	binary.BigEndian.PutUint32(want[4+len("metadata of 127.0.0.1"):], uint32(n))
	c := dial(t, p)
	for range 3 {
		got := make([]byte, len(want))
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil || string(got) != string(want) {
			t.Errorf("got %q, %v\nwant %q", got, err, want)
		}
	}
}

func TestWrongAddresses(t *testing.T) {
	for _, cfg := range []faultproxy.Config{
		{Target: "nowhere", Kafka: true},
		{Target: "broker:9092", Kafka: true},
		{Target: "127.0.0.1:x", Kafka: true},
		{Listen: "nowhere", Target: "127.0.0.1:1"},
	} {
		if p, err := faultproxy.Start(cfg); err == nil {
			t.Errorf("%+v is taken: %v", cfg, p.Close())
		}
	}
}
