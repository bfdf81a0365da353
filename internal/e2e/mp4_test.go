package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

// movie is what a player finds in a file of fragmented MP4 (ISO/IEC 14496-12): the tests read it by themselves, so that they need no
// ffprobe and no code of the worker that wrote it.
type movie struct {
	path      string
	start     time.Time // by its name: when its first picture came
	scale     uint32    // ticks a second
	width     int
	durations []uint32 // of every picture, in ticks
	keys      int      // pictures at which decoding can begin
	end       string   // why its worker ended it; "" for a file that is open or was cut
	rest      int64    // bytes after the last whole part
}

func (m movie) name() string { return filepath.Base(m.path) }

// duration is how long it plays.
func (m movie) duration() time.Duration {
	var ticks uint64
	for _, d := range m.durations {
		ticks += uint64(d)
	}
	if m.scale == 0 {
		return 0
	}
	return time.Duration(ticks) * time.Second / time.Duration(m.scale)
}

// box is one of the pieces that such a file is made of.
type box struct {
	kind string
	body []byte
}

// boxes cuts data into boxes; rest are the bytes of one that is not whole.
func boxes(data []byte) (list []box, rest int64) {
	for len(data) >= 8 {
		n := binary.BigEndian.Uint32(data)
		if n < 8 || uint64(n) > uint64(len(data)) {
			break
		}
		list = append(list, box{string(data[4:8]), data[8:n]})
		data = data[n:]
	}
	return list, int64(len(data))
}

// inside is the body of the box that is reached by the kinds; nil where there is none.
func inside(data []byte, kinds ...string) []byte {
	for _, kind := range kinds {
		list, _ := boxes(data)
		data = nil
		for _, b := range list {
			if b.kind == kind {
				data = b.body
				break
			}
		}
	}
	return data
}

// readMovie reads a file to its end. A tail that is not whole is told in rest; all else that a player would stumble over is an error.
func readMovie(path string) (movie, error) {
	m := movie{path: path}
	stamp, _, _ := strings.Cut(filepath.Base(path), "-")
	var err error
	if m.start, err = time.Parse("20060102T150405.000Z", stamp); err != nil {
		return m, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	list, rest := boxes(data)
	m.rest = rest
	if len(list) < 2 || list[0].kind != "ftyp" || list[1].kind != "moov" {
		return m, fmt.Errorf("%s: %d bytes do not begin with ftyp and moov", m.name(), len(data))
	}
	media, track := inside(list[1].body, "trak", "mdia", "mdhd"), inside(list[1].body, "trak", "tkhd")
	if len(media) < 16 || len(track) < 8 || inside(list[1].body, "trak", "mdia", "minf", "stbl", "stsd") == nil {
		return m, fmt.Errorf("%s: moov has no track", m.name())
	}
	m.scale, m.width = binary.BigEndian.Uint32(media[12:]), int(binary.BigEndian.Uint16(track[len(track)-8:]))
	var next uint64 // when the next part is due
	for list = list[2:]; len(list) > 0; list = list[1:] {
		switch b := list[0]; {
		case b.kind == "free" && len(list) == 1:
			reason, ours := strings.CutPrefix(strings.TrimRight(string(b.body), "\x00"), "skalds recording")
			if !ours {
				return m, fmt.Errorf("%s: ends with a strange box", m.name())
			}
			m.end = reason
		case b.kind == "moof" && len(list) == 1: // its pictures are cut off
			m.rest += int64(len(b.body)) + 8
		case b.kind == "moof" && list[1].kind == "mdat":
			if next, err = m.part(b.body, len(list[1].body), next); err != nil {
				return m, fmt.Errorf("%s: after %d pictures: %w", m.name(), len(m.durations), err)
			}
			list = list[1:]
		default:
			return m, fmt.Errorf("%s: %q after %d pictures", m.name(), b.kind, len(m.durations))
		}
	}
	return m, nil
}

// part takes the pictures of one part that is due at the time next, and returns when the one after it is.
func (m *movie) part(moof []byte, bytes int, next uint64) (uint64, error) {
	time, run := inside(moof, "traf", "tfdt"), inside(moof, "traf", "trun")
	if len(time) != 12 || len(run) < 12 {
		return 0, errors.New("a part without time or pictures")
	}
	const perPicture = 16 // duration, size, flags, offset: trun's flags say so
	if flags := binary.BigEndian.Uint32(run) & 0xffffff; flags != 0xf01 || (len(run)-12)%perPicture != 0 || len(run) == 12 {
		return 0, fmt.Errorf("a list of pictures with flags %x and %d bytes", flags, len(run))
	}
	if at := binary.BigEndian.Uint64(time[4:]); at != next {
		return 0, fmt.Errorf("a part at %d where one at %d is due", at, next)
	}
	var sum int
	for p := run[12:]; len(p) > 0; p = p[perPicture:] {
		duration := binary.BigEndian.Uint32(p)
		m.durations = append(m.durations, duration)
		next += uint64(duration)
		sum += int(binary.BigEndian.Uint32(p[4:]))
		if binary.BigEndian.Uint32(p[8:])&0x10000 == 0 { // no "not a sync sample"
			m.keys++
		}
	}
	if sum != bytes {
		return 0, fmt.Errorf("pictures of %d bytes in %d bytes", sum, bytes)
	}
	return next, nil
}

// moviePaths are the recordings of a task, oldest first.
func moviePaths(t testing.TB, dataDir, task string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dataDir, "recordings", skalds.FileName(task), "*.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// movies reads all recordings of a task, oldest first. Every file must play; the newest may be open, and end with half a part.
func movies(t testing.TB, dataDir, task string) (list []movie) {
	t.Helper()
	paths := moviePaths(t, dataDir, task)
	for i, path := range paths {
		m, err := readMovie(path)
		if i == len(paths)-1 && m.scale == 0 && err != nil {
			continue // its first part is being written
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if i < len(paths)-1 && m.rest > 0 && m.end != "" {
			t.Errorf("%s: %d bytes of rubbish", m.name(), m.rest)
		}
		list = append(list, m)
	}
	return list
}

// frames counts the pictures of several recordings.
func frames(list []movie) (n int) {
	for _, m := range list {
		n += len(m.durations)
	}
	return n
}

// regular says that no picture is missing in the middle: each lasts as long as the camera said.
func regular(t testing.TB, m movie, fps int) {
	t.Helper()
	if len(m.durations) == 1 {
		return // how long it lasts is said by the picture after it
	}
	for i, d := range m.durations {
		if d != m.scale/uint32(fps) {
			t.Errorf("%s: picture %d of %d lasts %d ticks, want %d: some are missing", m.name(), i, len(m.durations), d, m.scale/uint32(fps))
			return
		}
	}
}

// plays lets ffprobe decode a recording, where it is installed.
func plays(t testing.TB, m movie) {
	t.Helper()
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		t.Log("ffprobe is not installed: recordings are only read by the test itself")
		return
	}
	out, err := exec.Command(ffprobe, "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", m.path).CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil || text != fmt.Sprint(len(m.durations)) {
		t.Errorf("ffprobe %s: %s, %v, want %d frames", m.name(), text, err, len(m.durations))
	}
}
