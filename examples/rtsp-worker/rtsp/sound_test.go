package rtsp

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/skalds-go/skalds/examples/rtsp-worker/aac"
	"github.com/skalds-go/skalds/examples/rtsp-worker/rtsptest"
	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

func soundConfig(t testing.TB) *aac.Config {
	t.Helper()
	c, err := aac.ParseConfig([]byte{0x14, 0x08}, 16000)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestForeignSound reads packets that ffmpeg made, with several frames in each.
func TestForeignSound(t *testing.T) {
	stream, err := os.ReadFile("testdata/aac.rtp")
	if err != nil {
		t.Fatal(err)
	}
	want, err := rtsptest.SoundFrames()
	if err != nil {
		t.Fatal(err)
	}
	now, beside := time.Unix(1000, 0), &lipsync{rate: 16000}
	beside.picture(0, 0, now, false)
	var got []aac.Frame
	track := &soundTrack{payloadType: 97, config: soundConfig(t), sizeBits: 13, indexBits: 3}
	r := newSoundReceiver(track, beside, &Stats{}, func(f aac.Frame) { got = append(got, f) }, func() { t.Error("it complained") })
	packets := 0
	for len(stream) > 0 {
		n := binary.BigEndian.Uint16(stream)
		r.push(stream[2:2+n], now)
		stream = stream[2+n:]
		packets++
	}
	if packets == 0 || len(got) <= packets {
		t.Fatalf("%d packets, %d frames", packets, len(got))
	}
	for i, f := range got {
		if !bytes.Equal(f.Data, want[i].Data) || f.Time-got[0].Time != int64(i)*1024 {
			t.Errorf("frame %d: %d bytes at %d", i, len(f.Data), f.Time)
		}
	}
}

// TestUnpackAAC sends payloads that no camera of ours sends.
func TestUnpackAAC(t *testing.T) {
	const a, b = "\x00\x10\x00\x28", "\x00\x20\x00\x10\x00\x18" // headers of 5 bytes, and of 2 and 3
	adts := string([]byte{0xff, 0xf1, 0x60, 0x40, 0x01, 0x5f, 0xfc}) + "abc"
	for name, c := range map[string]struct {
		payloads []string
		want     string // frames, each with a stop behind it
	}{
		"one":                       {[]string{a + "abcde"}, "abcde."},
		"two":                       {[]string{b + "abcde"}, "ab.cde."},
		"fragments":                 {[]string{a + "ab", a + "c", a + "de"}, "abcde."},
		"fragments, then one":       {[]string{a + "ab", a + "cde", a + "fghij"}, "abcde.fghij."},
		"more behind it":            {[]string{a + "abcde~"}, "abcde."},
		"ADTS where none belongs":   {[]string{"\x00\x10\x00\x50" + adts}, "abc."},
		"fragment of other length":  {[]string{a + "ab", "\x00\x10\x00\x30cdef"}, ""},
		"fragments that are longer": {[]string{a + "ab", a + "cdef"}, ""},
		"goes on after damage":      {[]string{"\x00", a + "abcde"}, "abcde."},
		"fragment of two":           {[]string{b + "ab"}, ""},
		"half a header":             {[]string{"\x00\x08\x00abc"}, ""},
		"no header":                 {[]string{"\x00\x00abc"}, ""},
		"headers cut short":         {[]string{"\x00\x20\x00\x10"}, ""},
		"header of nothing":         {[]string{"\x00\x10\x00\x00"}, ""},
		"out of order":              {[]string{"\x00\x20\x00\x10\x00\x19abcde"}, ""},
	} {
		now, beside := time.Unix(1000, 0), &lipsync{rate: 16000}
		beside.picture(0, 0, now, false)
		got := ""
		track := &soundTrack{payloadType: 96, config: soundConfig(t), sizeBits: 13, indexBits: 3}
		r := newSoundReceiver(track, beside, &Stats{}, func(f aac.Frame) { got += string(f.Data) + "." }, func() {})
		for i, payload := range c.payloads {
			r.push(packet(t, uint16(i), 0, true, []byte(payload)), now)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestSoundPacketLost loses any one of three fragments: the frame is gone, the next one is whole.
func TestSoundPacketLost(t *testing.T) {
	const head = "\x00\x10\x00\x28"
	for lost := range 3 {
		now, beside := time.Unix(1000, 0), &lipsync{rate: 16000}
		beside.picture(0, 0, now, false)
		got, stats := "", Stats{}
		r := newSoundReceiver(&soundTrack{payloadType: 96, config: soundConfig(t), sizeBits: 13, indexBits: 3}, beside, &stats,
			func(f aac.Frame) { got += string(f.Data) + "." }, func() {})
		r.push(packet(t, 9, 0, true, []byte(head+"first")), now)
		for i, payload := range []string{"ab", "c", "de"} {
			if i != lost {
				r.push(packet(t, uint16(10+i), 1024, i == 2, []byte(head+payload)), now)
			}
		}
		r.push(packet(t, 13, 2048, true, []byte(head+"other")), now)
		if got != "first.other." || stats.LostSound != 1 || stats.LostPackets != 0 {
			t.Errorf("without fragment %d: %q, %+v", lost, got, stats)
		}
	}
}

func TestUnreadableSound(t *testing.T) {
	complaints, stats := 0, Stats{}
	r := newSoundReceiver(&soundTrack{payloadType: 96, config: soundConfig(t), sizeBits: 13, indexBits: 3}, &lipsync{rate: 16000}, &stats,
		func(aac.Frame) { t.Error("a frame") }, func() { complaints++ })
	for i := range 3 * unreadable {
		r.push(packet(t, uint16(i), uint32(i)*1024, true, []byte("rubbish")), time.Unix(1000, 0))
	}
	if complaints != 1 || stats.BadSound != 3*unreadable {
		t.Errorf("%d complaints, %+v", complaints, stats)
	}
}

func TestSoundTrack(t *testing.T) {
	const head = "v=0\r\no=- 0 0 IN IP4 10.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
	const good = "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/16000\r\na=control:track2\r\na=fmtp:97 streamtype=5; mode=AAC-hbr; config=1408; sizeLength=13; indexLength=3; indexDeltaLength=3; profile-level-id=1\r\n"
	for name, c := range map[string]struct {
		media   string
		taken   bool
		refused string
	}{
		"none":           {"", false, ""},
		"good":           {good, true, ""},
		"lengths unsaid": {strings.Replace(good, "sizeLength=13; indexLength=3; indexDeltaLength=3; ", "", 1), true, ""},
		"quoted":         {strings.Replace(good, "1408", `"1408"`, 1), true, ""},
		"a loudspeaker":  {strings.Replace(good, "a=control", "a=sendonly\r\na=control", 1), false, ""},
		"and both ways":  {strings.Replace(good, "a=control:track2", "a=sendonly\r\na=control:track3", 1) + good, true, ""},
		"the one of two": {"m=audio 0 RTP/AVP 0\r\n" + good, true, ""},
		"one of formats": {strings.NewReplacer("AVP 97", "AVP 8 97").Replace(good), true, ""},
		"G.711":          {"m=audio 0 RTP/AVP 0\r\n", false, "payload type 0"},
		"Opus and LATM": {
			"m=audio 0 RTP/AVP 98 99\r\na=rtpmap:98 opus/48000/2\r\na=rtpmap:99 MP4A-LATM/16000\r\n", false, "opus/48000/2, MP4A-LATM/16000",
		},
		"another mode": {strings.Replace(good, "hbr", "lbr", 1), false, `mpeg4-generic/16000 (mode "AAC-lbr")`},
		"no config":    {strings.Replace(good, "1408", "", 1), false, "unusable AAC configuration"},
		"no number":    {strings.Replace(good, "1408", "14x8", 1), false, "read config"},
		"with delays":  {strings.Replace(good, "mode", "ctsDeltaLength=22; mode", 1), false, "ctsdeltalength of 22"},
		"long sizes":   {strings.Replace(good, "=13", "=40", 1), false, "sizes of 40 bits"},
		"no clock":     {strings.Replace(good, "/16000", "/x", 1), false, "read clock rate"},
	} {
		d, err := readDescription([]byte(head+c.media), "rtsp://h/s/")
		if err != nil {
			t.Fatal(err)
		}
		got, refused := d.sound()
		if (got != nil) != c.taken || c.taken && (got.control != "rtsp://h/s/track2" || got.payloadType != 97 || got.config.Rate != 16000 || got.sizeBits != 13 || got.indexBits != 3) {
			t.Errorf("%s: %+v", name, got)
		}
		if text := strings.Join(refused, ", "); !strings.Contains(text, c.refused) || c.refused == "" && text != "" {
			t.Errorf("%s: refused %q, want %q", name, text, c.refused)
		}
	}
}

// TestLipsync plays a camera whose clocks begin anywhere: a picture every 40 ms, sound every 64 ms, and reports of both.
func TestLipsync(t *testing.T) {
	const rate, second = 16000, int64(16000)
	type camera struct {
		late    time.Duration // how much later sound arrives than the pictures of its time
		reports bool
		apart   time.Duration // what the reports say wrongly
		speed   float64       // of the clock of sound; 1 is right
		freeze  bool          // nothing arrives from 5 s to 9 s, then all at once
	}
	for name, c := range map[string]struct {
		camera
		off   int64 // where sound is in the end, in ticks from where it belongs
		about int64 // how exactly
		moves int
	}{
		"at once":                  {camera{speed: 1}, 0, 700, 0}, // a picture and a half of doubt
		"late":                     {camera{speed: 1, late: 300 * time.Millisecond}, 3 * second / 10, 700, 0},
		"late, with reports":       {camera{speed: 1, late: 300 * time.Millisecond, reports: true}, 0, 2, 1},
		"reports out of this time": {camera{speed: 1, reports: true, apart: 5000 * time.Hour}, 0, 700, 0},
		"reports of another day":   {camera{speed: 1, reports: true, apart: 10 * time.Second}, 0, 700, 0},
		"wrong clock":              {camera{speed: 0.5}, 0, 5 * second, 3}, // nothing can help it; it stays near
		"freeze":                   {camera{speed: 1, freeze: true}, 0, 700, 0},
		"freeze, with reports":     {camera{speed: 1, freeze: true, reports: true, late: 300 * time.Millisecond}, 0, 2, 1},
	} {
		l := &lipsync{rate: rate}
		pictures, sound := clock{rate: video.ClockRate}, clock{rate: rate}
		start := time.Unix(1000, 0)
		const rtpPictures, rtpSound = 4_000_000_000, 77
		arrival := func(at time.Duration) time.Time {
			if c.freeze && at > 5*time.Second && at < 9*time.Second {
				at = 9 * time.Second
			}
			return start.Add(at)
		}
		ntp := func(at time.Duration) uint64 {
			return 3e9<<32 + uint64(at/time.Second)<<32 + uint64(at%time.Second)<<32/uint64(time.Second)
		}
		var off int64
		var heard int
		nextSound, nextReport := time.Duration(0), time.Second
		for at := time.Duration(0); at < 30*time.Second; at += 4 * time.Millisecond {
			if at%(40*time.Millisecond) == 0 {
				ts := uint32(rtpPictures + int64(at)*video.ClockRate/int64(time.Second))
				ticks, jumped := pictures.next(ts, arrival(at), false)
				l.picture(ts, ticks, arrival(at), jumped)
			}
			if at >= nextSound+c.late {
				ts := uint32(rtpSound + float64(nextSound)*rate/float64(time.Second)*c.speed)
				ticks, jumped := sound.next(ts, arrival(at), false)
				if place, ok := l.hear(ts, ticks, arrival(at), jumped); ok {
					off, heard = place-int64(nextSound)*rate/int64(time.Second), heard+1
				}
				nextSound += 64 * time.Millisecond
			}
			if c.reports && at >= nextReport {
				nextReport += 5 * time.Second
				l.reportPictures(senderTime{ntp: ntp(at), rtp: uint32(rtpPictures + int64(at)*video.ClockRate/int64(time.Second))})
				l.reportSound(senderTime{ntp: ntp(at + c.apart), rtp: uint32(rtpSound + int64(at)*rate/int64(time.Second))})
			}
		}
		if heard < 400 || off < c.off-c.about || off > c.off+c.about || l.moves != c.moves {
			t.Errorf("%s: %d frames, %d ticks from where they belong, %d moves", name, heard, off, l.moves)
		}
	}
}

func FuzzSound(f *testing.F) {
	f.Add([]byte("\x00\x10\x00\x28abcde"), []byte("\x00\x20\x00\x10\x00\x18abcde"), 13, 3)
	f.Add([]byte("\x00\x10\x00\x28ab"), []byte("\x00\x10\x00\x28cde"), 13, 3)
	f.Add([]byte{0, 9, 0xff, 0x80}, []byte{0x80, 0xe0}, 8, 1)
	f.Fuzz(func(t *testing.T, a, b []byte, sizeBits, indexBits int) {
		if sizeBits < 1 || sizeBits > 16 || indexBits < 0 || indexBits > 16 {
			return
		}
		now, beside := time.Unix(1000, 0), &lipsync{rate: 16000}
		beside.picture(0, 0, now, false)
		var total int
		r := newSoundReceiver(&soundTrack{payloadType: 96, config: soundConfig(t), sizeBits: sizeBits, indexBits: indexBits}, beside, &Stats{}, func(f aac.Frame) {
			if total += len(f.Data); len(f.Data) == 0 {
				t.Fatal("an empty frame")
			}
		}, func() {})
		seq, given := uint16(0), 0
		for i, payload := range [][]byte{a, b, a, b} {
			raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: uint32(i), SSRC: 1}, Payload: payload}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			seq, given = seq+1, given+len(payload)
			r.push(raw, now)
			r.push(payload, now)
		}
		if total > given {
			t.Fatalf("%d bytes of %d", total, given)
		}
	})
}
