package recording

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/skalds-go/skalds/examples/rtsp-worker/fmp4"
)

// retainEvery is the pause between two looks at the folder; a segment that ends and a full disk cause one at once.
const retainEvery = time.Minute

// Run is the Janitor: it repairs what former processes left behind, then keeps the folder within its bounds until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	if n, err := r.Recover(ctx); err != nil {
		r.log.Warn("cannot look after former recordings", "err", err)
	} else if n > 0 {
		r.log.Info("former recordings repaired", "files", n)
	}
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		if err := r.Retain(time.Now()); err != nil {
			r.log.Warn("cannot delete old recordings", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-r.wake:
		}
	}
}

// Recover cuts every file that was not ended properly after its last whole part, marks it as ended by a crash, and removes those
// that hold nothing. Files that a living process writes are left alone. It returns how many it repaired.
func (r *Recorder) Recover(ctx context.Context) (int, error) {
	entries, err := os.ReadDir(r.config().Dir)
	if err != nil {
		return 0, err
	}
	repaired := 0
	var errs []error
	for _, e := range entries {
		if ctx.Err() != nil {
			break
		}
		start, epoch, ok := parseName(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		done, err := r.recoverFile(filepath.Join(r.config().Dir, e.Name()), start, epoch)
		if err != nil {
			errs = append(errs, err)
		} else if done {
			repaired++
		}
	}
	return repaired, errors.Join(errs...)
}

func (r *Recorder) recoverFile(path string, start time.Time, epoch int64) (repaired bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	if _, sealed := fmp4.ReadSeal(f, st.Size()); sealed || st.ModTime().After(r.born) {
		return false, nil
	}
	if lock(f) != nil {
		return false, nil // somebody writes it
	}
	if st, err = f.Stat(); err != nil { // it may have been ended meanwhile
		return false, err
	}
	info, err := fmp4.Walk(f, st.Size())
	if errors.Is(err, fmp4.ErrNotOurs) {
		return false, nil
	}
	if err != nil || info.EndReason != "" {
		return false, err
	}
	if info.Parts == 0 {
		r.log.Info("recording without a whole part removed", "path", path)
		return true, os.Remove(path)
	}
	if err := f.Truncate(info.Whole); err != nil {
		return false, err
	}
	seal := fmp4.Seal(EndCrash)
	if _, err := f.WriteAt(seal, info.Whole); err != nil {
		_ = f.Truncate(info.Whole) // it plays without; the next start tries again
		return false, err
	}
	r.log.Info("recording repaired", "path", path, "cut_bytes", st.Size()-info.Whole, "duration", info.Duration.Round(time.Millisecond))
	r.observer.Segment(Segment{
		Path: path, Epoch: epoch, StartedAt: start, EndedAt: start.Add(info.Duration), Bytes: info.Whole + int64(len(seal)), Duration: info.Duration,
		Parts: info.Parts, Frames: info.Frames, Codec: info.Codec, Width: info.Width, Height: info.Height, Sound: info.Sound, EndReason: EndCrash,
	})
	return true, nil
}
