package recording

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/video"
)

// Why segments end.
const (
	EndRotate    = "rotate"    // its time was over
	EndReconnect = "reconnect" // the camera's connection broke
	EndParams    = "params"    // the camera changed its picture, or its sound began
	EndUpdate    = "update"    // the task's attachments changed
	EndPause     = "pause"     // the task was paused
	EndStop      = "stop"      // the task was stopped
	EndDisk      = "diskfull"  // the disk took no more
	EndCrash     = "crash"     // the process ended without a word; found by the next one
	EndDeleted   = "deleted"   // deleted to keep within the bounds; Bytes is 0
)

// Segment is one file.
type Segment struct {
	// Path is absolute where Config.Dir is.
	Path string
	// Epoch of the assignment that made it.
	Epoch int64
	// StartedAt is when its first picture came; EndedAt is zero while it is open.
	StartedAt, EndedAt time.Time
	Bytes              int64
	Duration           time.Duration
	Parts, Frames      int
	Codec              video.Codec
	Width, Height      int
	// Sound says that there is AAC beside the pictures.
	Sound bool
	// EndReason is one of the End constants, "" while it is open.
	EndReason string
}

const nameTime = "20060102T150405.000Z"

// fileName is the start in UTC and the epoch: names sort by time.
func fileName(start time.Time, epoch int64) string {
	return fmt.Sprintf("%s-e%d.mp4", start.UTC().Format(nameTime), epoch)
}

var namePattern = regexp.MustCompile(`^(\d{8}T\d{6}\.\d{3}Z)-e(\d+)\.mp4$`)

// parseName is the inverse of fileName; ok is false for files of others.
func parseName(path string) (start time.Time, epoch int64, ok bool) {
	m := namePattern.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return time.Time{}, 0, false
	}
	start, err := time.Parse(nameTime, m[1])
	if err != nil {
		return time.Time{}, 0, false
	}
	epoch, err = strconv.ParseInt(m[2], 10, 64)
	return start, epoch, err == nil
}
