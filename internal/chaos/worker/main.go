package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skalds-go/skalds/internal/history"
	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

type work struct {
	Do      string `json:"do" jsonschema:"required,enum=work,enum=stumble,enum=last,enum=stages"`
	Millis  int    `json:"millis,omitempty" jsonschema:"minimum=0"` // how long work takes
	Stages  int    `json:"stages,omitempty" jsonschema:"minimum=0"` // how many there are to finish
	Wait    string `json:"wait,omitempty"`                          // a file: stages begin when it is there
	History string `json:"history"`                                 // the file
}

// beatEvery is how often a process says that it still runs.
const beatEvery = 200 * time.Millisecond

type worker struct{}

// Main works for a while, ends the process in its first attempt on a node, goes on until it is stopped, or finishes stages, each of
// which is a record to be kept.
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
		if a.Do == "last" || a.Do == "stages" && !exists(a.Wait) {
			left = beatEvery
		}
		if left <= 0 {
			break
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
	for i := range a.Stages {
		if err := t.Stage(ctx, fmt.Sprintf("stage %d", i), func(context.Context) error { return nil }); err != nil {
			return err
		}
	}
	return say(history.Finished)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func main() {
	sdk.Serve("chaos-worker", "1.0.0", sdk.Class("Chaos", func() sdk.Worker[work] { return worker{} }, sdk.Resources(0.001, 1<<20)))
}
