package rtsp

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/skalds-go/skalds/examples/rtsp-worker/h264"
)

func TestMessages(t *testing.T) {
	in := "\r\nRTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Basic realm=\"a\"\r\nwww-authenticate: Digest realm=\"b\", nonce=\"c\"\r\n\r\n" +
		"$\x00\x00\x03abc" +
		"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 4\r\n\r\nbody" +
		"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
	r := newReader(strings.NewReader(in))
	m, _, _, err := r.next()
	if err != nil || m.code != 401 || len(m.header["Www-Authenticate"]) != 2 {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, ch, frame, err := r.next(); err != nil || ch != 0 || string(frame) != "abc" {
		t.Fatalf("%d %q %v", ch, frame, err)
	}
	if m, _, _, err = r.next(); err != nil || string(m.body) != "body" || m.get("CSeq") != "3" {
		t.Fatalf("%+v, %v", m, err)
	}
	if m, _, _, err = r.next(); err != nil || m.method != "OPTIONS" || m.code != 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, _, _, err = r.next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"\x00", "hello\r\n\r\n", "RTSP/1.0 abc OK\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "RTSP/1.0 200 OK\r\nno colon\r\n\r\n",
		"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n", "RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n",
		"RTSP/1.0 200 OK\r\nA: " + strings.Repeat("x", maxLine) + "\r\n\r\n",
	} {
		if _, _, _, err := newReader(strings.NewReader(bad)).next(); !errors.Is(err, ErrFraming) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 4\r\n\r\nbody$\x00\x00\x03abc"))
	f.Add([]byte("RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"x\\\"\", nonce=\"n\", qop=\"auth\"\r\n\r\n"))
	f.Add([]byte("OPTIONS * RTSP/1.0\r\n\r\n$\x01\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newReader(bytes.NewReader(in))
		for range 1000 {
			m, _, frame, err := r.next()
			if err != nil {
				return
			}
			if len(frame) > 0xffff || m != nil && len(m.body) > maxBody {
				t.Fatal("more than allowed")
			}
			if m != nil {
				a := authorizer{user: "u", password: "p"}
				if a.challenge(m.header["Www-Authenticate"]) == nil {
					if h := a.header("PLAY", "rtsp://h/"); strings.ContainsAny(h, "\r\n") {
						t.Fatalf("header with a line break: %q", h)
					}
				}
				_, _ = findTrack(m.body, "rtsp://h/")
			}
		}
	})
}

// TestDigest is the example of RFC 2617, section 3.5, without qop as in RFC 2069, checked with the corrected sum of its errata.
func TestDigest(t *testing.T) {
	a := authorizer{user: "Mufasa", password: "Circle Of Life"}
	if err := a.challenge([]string{`Basic realm="x"`, `Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`}); err != nil {
		t.Fatal(err)
	}
	if h := a.header("GET", "/dir/index.html"); !strings.Contains(h, `response="670fd8c2df070c60b045671b8b24ff02"`) {
		t.Error(h)
	}
	if err := a.challenge([]string{`Negotiate`}); err == nil {
		t.Error("an unknown way was taken")
	}
}

// packets cuts pictures as a camera does.
func packets(t testing.TB, n, mtu int) [][]byte {
	t.Helper()
	sps := []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x01, 0x41, 0xfb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x62, 0xe4, 0x80}
	pps := []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
	var out [][]byte
	p := &codecs.H264Payloader{}
	seq := uint16(65530)
	for i := range n {
		nals := [][]byte{append([]byte{0x41}, bytes.Repeat([]byte{byte(i + 1)}, 200)...)}
		if i%5 == 0 {
			nals = [][]byte{sps, pps, append([]byte{0x65}, bytes.Repeat([]byte{byte(i + 1)}, 500)...)}
		}
		var payloads [][]byte
		for _, nal := range nals {
			payloads = append(payloads, p.Payload(uint16(mtu), append([]byte{0, 0, 0, 1}, nal...))...)
		}
		for j, payload := range payloads {
			raw, err := (&rtp.Packet{Header: rtp.Header{
				Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: uint32(i * 3000), SSRC: 1, Marker: j == len(payloads)-1,
			}, Payload: payload}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			seq++
			out = append(out, raw)
		}
	}
	return out
}

func TestDepacketizer(t *testing.T) {
	run := func(in [][]byte) ([]h264.Unit, Stats) {
		var units []h264.Unit
		d := &depacketizer{payloadType: 96, emit: func(u h264.Unit) { units = append(units, u) }}
		now := time.Unix(1000, 0)
		for _, raw := range in {
			now = now.Add(10 * time.Millisecond)
			d.push(raw, now)
		}
		return units, d.stats
	}
	all := packets(t, 20, 100)
	units, stats := run(all)
	if len(units) != 20 || stats.DroppedUnits != 0 || stats.LostPackets != 0 {
		t.Fatalf("%d units, %+v", len(units), stats)
	}
	for i, u := range units {
		if u.Key != (i%5 == 0) || len(u.NALs) != 1 || u.NALs[0][1] != byte(i+1) {
			t.Errorf("unit %d: key %v, %d NALs", i, u.Key, len(u.NALs))
		}
	}
	for lost := range all { // without any one packet, no unit may be damaged
		units, stats := run(append(append([][]byte(nil), all[:lost]...), all[lost+1:]...))
		for _, u := range units {
			want := 201
			if u.Key {
				want = 501
			}
			if len(u.NALs) != 1 || len(u.NALs[0]) != want {
				t.Fatalf("packet %d lost: unit with %d NALs of %d bytes", lost, len(u.NALs), len(u.NALs[0]))
			}
		}
		if stats.Units < 15 {
			t.Errorf("packet %d lost: only %d units", lost, stats.Units)
		}
	}
}

func FuzzDepacketizer(f *testing.F) {
	for _, raw := range packets(f, 6, 300) {
		f.Add(raw, []byte{0x80, 0x60, 0, 1})
	}
	f.Add([]byte{0x80, 0xe0, 0xff, 0xfe, 0, 0, 0, 1, 0, 0, 0, 1, 0x7c, 0x85, 1}, []byte{0x80, 0xe0, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0x78, 0, 2, 0x41})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var last int64
		d := &depacketizer{payloadType: 96, emit: func(u h264.Unit) {
			if u.Params == nil || len(u.NALs) == 0 {
				t.Fatal("unit without parameters or pictures")
			}
			if u.Params.Reorder == 0 && u.Time < last {
				t.Fatal("time goes back")
			}
			last = u.Time
		}}
		r := reorder{depth: 3}
		now := time.Unix(1000, 0)
		good := packets(t, 3, 200)
		for _, raw := range append(append([][]byte{a, b, a}, good...), b, a, b) {
			now = now.Add(time.Millisecond)
			r.push(raw, func(p []byte) { d.push(p, now) })
		}
		if len(r.waiting) > 3 {
			t.Fatal("too many packets wait")
		}
	})
}

func TestReorder(t *testing.T) {
	for name, c := range map[string]struct{ in, want []byte }{
		"in order":      {[]byte{1, 2, 3}, []byte{1, 2, 3}},
		"swapped":       {[]byte{1, 3, 2, 4}, []byte{1, 2, 3, 4}},
		"late by two":   {[]byte{1, 3, 4, 2, 5}, []byte{1, 2, 3, 4, 5}},
		"lost":          {[]byte{1, 3, 4, 5, 6, 7}, []byte{1, 3, 4, 5, 6, 7}},
		"twice waiting": {[]byte{1, 3, 3, 2, 4}, []byte{1, 2, 3, 4}},
		"two lost":      {[]byte{1, 4, 5, 6, 7, 8}, []byte{1, 4, 5, 6, 7, 8}},
	} {
		r := reorder{depth: 3}
		var got []byte
		for _, n := range c.in {
			r.push([]byte{0x80, 96, 0, n, 0, 0, 0, 0, 0, 0, 0, 0}, func(p []byte) { got = append(got, p[3]) })
		}
		r.flush(func(p []byte) { got = append(got, p[3]) })
		if !bytes.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := backoff{min: 500 * time.Millisecond, max: 15 * time.Second}
	for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second} {
		low, high := b, b
		if d := low.next(0); d != want/2 {
			t.Errorf("failure %d: at least %v", i, d)
		}
		if d := high.next(0.999999); d > want || d < want*9/10 {
			t.Errorf("failure %d: at most %v", i, d)
		}
		b.next(0)
	}
	if b.reset(); b.next(0) != 250*time.Millisecond {
		t.Error("not forgotten")
	}
}

func TestMaskURL(t *testing.T) {
	for in, want := range map[string]string{
		"rtsp://u:p@h/s":                       "rtsp://u:***@h/s",
		"rtsp://u:p/a?b@c@h:554/s?x=1":         "rtsp://u:***@h:554/s?x=1",
		"rtsp://u@h/s":                         "rtsp://u@h/s",
		"rtsp://h/s?user=a&password=b&c":       "rtsp://h/s?user=a&password=***&c",
		"rtsp://h/s?apiToken=b":                "rtsp://h/s?apiToken=***",
		"u:p@h":                                "***",
		"rtsp://h/s":                           "rtsp://h/s",
		"rtsp://u:p%40@[::1]:554/s":            "rtsp://u:***@[::1]:554/s",
		"rtsp://h/user=a&password=b&channel=1": "rtsp://h/user=a&password=***&channel=1",
	} {
		if got := MaskURL(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzMaskURL(f *testing.F) {
	f.Add("user", "p@ss/word?x")
	f.Fuzz(func(t *testing.T, user, password string) {
		if len(password) < 4 || strings.Contains("rtsp://host:554/stream?x=1"+url.PathEscape(user)+user, password) || strings.Trim(password, "*") == "" {
			return
		}
		u := url.URL{Scheme: "rtsp", Host: "host:554", Path: "/stream", RawQuery: "x=1", User: url.UserPassword(user, password)}
		_, escaped, _ := strings.Cut(u.User.String(), ":")
		if got := MaskURL(u.String()); strings.Contains(got, escaped) && !strings.Contains("rtsp://"+url.User(user).String()+"@host:554/stream?x=1***", escaped) {
			t.Errorf("%s shows %s", got, escaped)
		}
	})
}
