package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/internal/client"
)

const (
	followPause     = time.Second      // before a log that has ended is followed again
	followTolerance = 30 * time.Second // how long the controller may be away, for example while it restarts
	followCatchUp   = 2000             // lines that are read again to find what came meanwhile
)

// logFollower prints the log of a task until the task has ended, over every loss of the controller.
type logFollower struct {
	id   string
	out  io.Writer
	say  func(text string) // to people, not into the log
	last string            // the last line with a time that was printed
}

// run follows; tail is how many of the last lines come first.
func (f *logFollower) run(ctx context.Context, cl *client.Client, tail int) error {
	var away time.Time // since when nobody answers
	for first, told := true, false; ; first = false {
		log, err := cl.Logs(ctx, f.id, tail, true)
		broken := true
		switch {
		case err == nil:
			away, told = time.Time{}, false
			if broken, err = f.print(log); err != nil {
				return err
			}
		case first || !errors.Is(err, skalds.ErrUnavailable):
			return err
		case away.IsZero():
			away = time.Now()
		case time.Since(away) > followTolerance:
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if broken && !told {
			told = true
			f.say("the log broke off: it is followed again as soon as the controller answers")
		}
		if f.last != "" {
			tail = followCatchUp
		}
		goesOn, err := f.goesOn(ctx, cl)
		if err != nil || !goesOn && !broken {
			return err
		}
	}
}

// goesOn looks for a moment whether the task has come to its end. Where nobody answers it may not have.
func (f *logFollower) goesOn(ctx context.Context, cl *client.Client) (bool, error) {
	moment, cancel := context.WithTimeout(ctx, followPause)
	defer cancel()
	t, err := cl.Wait(moment, f.id)
	if err != nil && !errors.Is(err, skalds.ErrUnavailable) && moment.Err() == nil {
		return false, err
	}
	if err != nil {
		<-moment.Done() // a connection that is refused takes no time
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return t.ID == "" || t.LifecycleStatus.OnNode(), nil
}

// print prints a log to its end, but no line with a time that it has printed before. broken: it ended before its time.
func (f *logFollower) print(log io.ReadCloser) (broken bool, err error) {
	defer log.Close() //nolint:errcheck // nothing is lost: it has been read
	from := bufio.NewReaderSize(log, 64<<10)
	printed := f.last // "" from the first new line on
	old := false      // the line that is read
	for begins := true; ; {
		line, err := from.ReadSlice('\n')
		piece := string(line)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return true, nil // a line that broke off comes again
		}
		if begins {
			old = printed != "" && stampOf(piece) <= stampOf(printed)
			if !old || piece == printed {
				printed = ""
			}
			if !old && stampOf(piece) != "" {
				f.last = piece
			}
		}
		if !old {
			if _, err := io.WriteString(f.out, piece); err != nil {
				return false, fmt.Errorf("print the log of task %s: %w", f.id, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		begins = err == nil
	}
}

// stampOf is the time with which a host begins each line, as text that sorts like it; "" where there is none.
func stampOf(line string) string {
	const form = "2006-01-02T15:04:05.000Z"
	if len(line) < len(form) {
		return ""
	}
	if _, err := time.Parse(form, line[:len(form)]); err != nil {
		return ""
	}
	return line[:len(form)]
}
