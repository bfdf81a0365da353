package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/skalds-go/skalds/internal/history"
	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

type work struct {
	Do      string `json:"do" jsonschema:"required,enum=work,enum=stumble,enum=last"`
	Millis  int    `json:"millis,omitempty" jsonschema:"minimum=0"` // how long work takes
	History string `json:"history"`                                 // the file
}

// beatEvery is how often a process says that it still runs.
const beatEvery = 200 * time.Millisecond

type worker struct{}

// Main works for a while, ends the process in its first attempt on a node, or goes on until it is stopped.
func (worker) Main(ctx context.Context, t *sdk.Task[work]) (err error) {
	a := t.Attachments()
	rec, err := history.Record(a.History)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rec.Close()) }()
	say := func(kind history.Kind) error {
		return rec.Add(history.Event{
			Kind: kind, Task: t.ID(), Epoch: t.Epoch(), Attempt: t.Attempt(), PID: os.Getpid(),
			Node: filepath.Base(filepath.Dir(filepath.Dir(t.DataDir()))), // nodes' data folders have their names
		})
	}
	if err := say(history.Began); err != nil {
		return err
	}
	begun := time.Now()
	for {
		left := time.Duration(a.Millis)*time.Millisecond - time.Since(begun)
		if a.Do != "last" && left <= 0 {
			break
		}
		if a.Do == "last" {
			left = beatEvery
		}
		if err := t.Sleep(ctx, min(left, beatEvery)); err != nil {
			return err
		}
		if err := say(history.Beat); err != nil {
			return err
		}
	}
	if a.Do == "stumble" && t.Attempt() == 1 {
		os.Exit(3)
	}
	return say(history.Finished)
}

func main() {
	sdk.Serve("chaos-worker", "1.0.0", sdk.Class("Chaos", func() sdk.Worker[work] { return worker{} }, sdk.Resources(0.001, 1<<20)))
}
