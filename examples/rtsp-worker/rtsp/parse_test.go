package rtsp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
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
				if d, err := readDescription(m.body, "rtsp://h/"); err == nil {
					_, _ = d.video()
					_, _ = d.sound()
				}
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

// sample is a stream of one coding: its parameter sets, the first bytes of key and other pictures, and a camera's way to cut them.
type sample struct {
	coding *coding
	sets   [][]byte
	key    []byte
	other  []byte
	cut    rtp.Payloader
}

func samples(t testing.TB) map[string]sample {
	t.Helper()
	unhex := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return map[string]sample{
		"h264": {
			coding: findCoding("H264/90000"), key: []byte{0x65}, other: []byte{0x41}, cut: &codecs.H264Payloader{},
			sets: [][]byte{unhex("6742c01ed90141fb011000000300100000030320f162e480"), unhex("68cb83cb20")},
		},
		"h265": {
			coding: findCoding("h265/90000"), key: []byte{0x28, 1}, other: []byte{0x02, 1}, cut: &codecs.H265Payloader{},
			sets: [][]byte{
				unhex("40010c01ffff01600000030090000003000003003c968090"),
				unhex("42010101600000030090000003000003003ca00a080b9f7965a924caf0168080000003008000000504"),
				unhex("4401c172b46240"),
			},
		},
	}
}

// packets cuts pictures as a camera does: every fifth is a key frame of 500 bytes and its header, the others have 200.
func packets(t testing.TB, s sample, n, mtu int) [][]byte {
	t.Helper()
	var out [][]byte
	seq := uint16(65530)
	for i := range n {
		nals := [][]byte{append(bytes.Clone(s.other), bytes.Repeat([]byte{byte(i + 1)}, 200)...)}
		if i%5 == 0 {
			nals = append(append([][]byte(nil), s.sets...), append(bytes.Clone(s.key), bytes.Repeat([]byte{byte(i + 1)}, 500)...))
		}
		var payloads [][]byte
		for _, nal := range nals {
			payloads = append(payloads, s.cut.Payload(uint16(mtu), append([]byte{0, 0, 0, 1}, nal...))...)
		}
		for j, payload := range payloads {
			out = append(out, packet(t, seq, uint32(i*3000), j == len(payloads)-1, payload))
			seq++
		}
	}
	return out
}

func packet(t testing.TB, seq uint16, ts uint32, marker bool, payload []byte) []byte {
	t.Helper()
	raw, err := (&rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: ts, SSRC: 1, Marker: marker},
		Payload: payload,
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// depacketize gives packets to a depacketizer from one buffer, as a connection does.
func depacketize(c *coding, in [][]byte) ([]video.Unit, Stats) {
	var units []video.Unit
	var stats Stats
	d := newDepacketizer(&track{payloadType: 96, coding: c, sets: c.sets()}, &lipsync{rate: video.ClockRate}, &stats, func(u video.Unit) { units = append(units, u) })
	now := time.Unix(1000, 0)
	buf := make([]byte, 2048)
	for _, raw := range in {
		now = now.Add(10 * time.Millisecond)
		d.push(buf[:copy(buf, raw)], now)
	}
	return units, stats
}

func TestDepacketizer(t *testing.T) {
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			all := packets(t, s, 20, 100)
			units, stats := depacketize(s.coding, all)
			if len(units) != 20 || stats.DroppedUnits != 0 || stats.LostPackets != 0 {
				t.Fatalf("%d units, %+v", len(units), stats)
			}
			for i, u := range units {
				want := append(bytes.Clone(s.other), bytes.Repeat([]byte{byte(i + 1)}, 200)...)
				if i%5 == 0 {
					want = append(bytes.Clone(s.key), bytes.Repeat([]byte{byte(i + 1)}, 500)...)
				}
				if u.Key != (i%5 == 0) || len(u.NALs) != 1 || !bytes.Equal(u.NALs[0], want) {
					t.Errorf("unit %d: key %v, %d NALs", i, u.Key, len(u.NALs))
				}
			}
			for lost := range all { // without any one packet, no unit may be damaged
				units, stats := depacketize(s.coding, append(append([][]byte(nil), all[:lost]...), all[lost+1:]...))
				for _, u := range units {
					want := len(s.other) + 200
					if u.Key {
						want = len(s.key) + 500
					}
					if len(u.NALs) != 1 || len(u.NALs[0]) != want {
						t.Fatalf("packet %d lost: unit with %d NALs of %d bytes", lost, len(u.NALs), len(u.NALs[0]))
					}
				}
				if stats.Units < 15 {
					t.Errorf("packet %d lost: only %d units", lost, stats.Units)
				}
			}
		})
	}
}

// TestDepacketizerH265 sends payloads that no camera of ours sends.
func TestDepacketizerH265(t *testing.T) {
	s := samples(t)["h265"]
	sets := []byte{0x60, 1} // an aggregation packet
	for _, set := range s.sets {
		sets = append(append(sets, 0, byte(len(set))), set...)
	}
	key := []byte{0x28, 1, 0xaf, 9}
	for name, c := range map[string]struct {
		payloads [][]byte
		nals     int // of the one unit that comes of it; 0 when it is dropped
	}{
		"whole":                    {[][]byte{sets, key}, 1},
		"delimiter and filler":     {[][]byte{{0x46, 1, 0x50}, sets, {0x4c, 1, 0xff}, key}, 1},
		"SEI":                      {[][]byte{sets, {0x4e, 1, 5, 1, 0, 0x80}, key}, 2},
		"end of sequence":          {[][]byte{sets, key, {0x48, 1}}, 2}, // nothing but its header
		"aggregation of one":       {[][]byte{sets, {0x60, 1, 0, 4, 0x28, 1, 0xaf, 9}}, 1},
		"two slices":               {[][]byte{sets, {0x60, 1, 0, 4, 0x28, 1, 0xaf, 9, 0, 4, 0x28, 1, 0x2f, 9}}, 2},
		"fragments":                {[][]byte{sets, {0x62, 1, 0x94, 0xaf}, {0x62, 1, 0x14, 1}, {0x62, 1, 0x54, 2}}, 1},
		"fragment without start":   {[][]byte{sets, {0x62, 1, 0x14, 1}, {0x62, 1, 0x54, 2}}, 0},
		"fragment without end":     {[][]byte{sets, {0x62, 1, 0x94, 0xaf}, {0x62, 1, 0x14, 1}}, 0},
		"start and end at once":    {[][]byte{sets, {0x62, 1, 0xd4, 0xaf}}, 0},
		"fragments of two kinds":   {[][]byte{sets, {0x62, 1, 0x94, 0xaf}, {0x62, 1, 0x41, 1}}, 0},
		"two starts":               {[][]byte{sets, {0x62, 1, 0x94, 0xaf}, {0x62, 1, 0x94, 0xaf}, {0x62, 1, 0x54, 2}}, 0},
		"whole one in fragments":   {[][]byte{sets, {0x62, 1, 0x94, 0xaf}, key, {0x62, 1, 0x54, 2}}, 0},
		"fragment of a fragment":   {[][]byte{sets, key, {0x62, 1, 0xb1, 0xaf}, {0x62, 1, 0x71, 2}}, 0},
		"short fragment":           {[][]byte{sets, key, {0x62, 1}}, 0},
		"aggregation of nothing":   {[][]byte{sets, key, {0x60, 1}}, 0},
		"aggregation cut short":    {[][]byte{sets, key, {0x60, 1, 0, 9, 2, 1}}, 0},
		"aggregation, a byte left": {[][]byte{sets, key, {0x60, 1, 0, 2, 0x48, 1, 7}}, 0},
		"PACI":                     {[][]byte{sets, {0x64, 1, 0x50, 0, 0xaf, 9}}, 0},
		"one byte":                 {[][]byte{sets, key, {0x28}}, 0},
		"no picture":               {[][]byte{sets}, 0},
		"no sets":                  {[][]byte{key}, 0},
	} {
		var in [][]byte
		for i, payload := range c.payloads {
			in = append(in, packet(t, uint16(i), 0, i == len(c.payloads)-1, payload))
		}
		units, _ := depacketize(s.coding, in)
		if c.nals == 0 && len(units) != 0 || c.nals > 0 && (len(units) != 1 || len(units[0].NALs) != c.nals || !units[0].Key) {
			t.Errorf("%s: %+v", name, units)
		}
	}
}

func FuzzDepacketizer(f *testing.F) {
	all := samples(f)
	for name, s := range all {
		for _, raw := range packets(f, s, 6, 300) {
			f.Add(name == "h265", raw, []byte{0x80, 0x60, 0, 1})
		}
	}
	f.Add(false, []byte{0x80, 0xe0, 0xff, 0xfe, 0, 0, 0, 1, 0, 0, 0, 1, 0x7c, 0x85, 1}, []byte{0x80, 0xe0, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0x78, 0, 2, 0x41})
	f.Add(true, []byte{0x80, 0x60, 0xff, 0xfe, 0, 0, 0, 1, 0, 0, 0, 1, 0x62, 1, 0x94, 1}, []byte{0x80, 0xe0, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 0x60, 1, 0, 2, 0x48, 1})
	f.Fuzz(func(t *testing.T, h265 bool, a, b []byte) {
		s := samples(t)["h264"]
		if h265 {
			s = samples(t)["h265"]
		}
		var last int64
		d := newDepacketizer(&track{payloadType: 96, coding: s.coding, sets: s.coding.sets()}, &lipsync{rate: video.ClockRate}, &Stats{}, func(u video.Unit) {
			if u.Params == nil || len(u.NALs) == 0 {
				t.Fatal("unit without parameters or pictures")
			}
			if u.Params.Reorder == 0 && u.Time < last {
				t.Fatal("time goes back")
			}
			last = u.Time
		})
		r := reorder{depth: 3}
		now := time.Unix(1000, 0)
		good := packets(t, s, 3, 200)
		for _, raw := range append(append([][]byte{a, b, a}, good...), b, a, b) {
			now = now.Add(time.Millisecond)
			r.push(raw, func(p []byte) { d.push(p, now) })
		}
		if len(r.waiting) > 3 {
			t.Fatal("too many packets wait")
		}
	})
}

// TestVideoTrack reads descriptions of cameras.
func TestVideoTrack(t *testing.T) {
	const head = "v=0\r\no=- 0 0 IN IP4 10.0.0.1\r\ns=x\r\nt=0 0\r\na=control:*\r\n"
	const hevc = "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=control:track1\r\n"
	const sprop = "sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwA8loCQ; sprop-sps=QgEBAWAAAAMAkAAAAwAAAwA8oAoIC595ZakkyvAWgIAAAAMAgAAABQQ=;sprop-pps=RAHBcrRiQA=="
	for name, c := range map[string]struct {
		media  string
		rtpmap string
		sets   bool
	}{
		"h265 with sets":       {hevc + "a=fmtp:98 profile-id=1;" + sprop + "\r\n", "H265/90000", true},
		"h265 without":         {hevc, "H265/90000", false},
		"h265 in order":        {hevc + "a=fmtp:98 sprop-max-don-diff=0;" + sprop + "\r\n", "H265/90000", true},
		"h265 out of order":    {hevc + "a=fmtp:98 sprop-max-don-diff=2;" + sprop + "\r\n", "", false},
		"h265 with rubbish":    {hevc + "a=fmtp:98 sprop-vps=!;sprop-sps=RAHBcrRiQA==;sprop-pps=\r\n", "H265/90000", false},
		"the first one counts": {"m=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 h264/90000\r\n" + hevc, "H264/90000", false},
		"not the unknown one":  {"m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\n" + hevc, "H265/90000", false},
		"unknown only":         {"m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\n", "", false},
	} {
		d, err := readDescription([]byte(head+c.media), "rtsp://h/s/")
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.video()
		if c.rtpmap == "" {
			if !errors.Is(err, ErrNoVideo) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			continue
		}
		if err != nil || got.coding.rtpmap != c.rtpmap || (got.sets.Params() != nil) != c.sets {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
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
