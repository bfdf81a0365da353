package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

type attachments struct {
	Do string `json:"do" jsonschema:"required,enum=finish,enum=wait,enum=leak,enum=spin,enum=tree,enum=threads"`
}

type worker struct{}

// Main appends "<ns since epoch> <pid>" to the file began in its folder, before anything else.
func (worker) Main(ctx context.Context, t *sdk.Task[attachments]) error {
	at := time.Now()
	if err := appendTo(t, "began", fmt.Appendf(nil, "%d %d\n", at.UnixNano(), os.Getpid())); err != nil {
		return err
	}
	switch t.Attachments().Do {
	case "wait":
		<-ctx.Done()
		return ctx.Err()
	case "leak":
		return leak(ctx, t)
	case "spin":
		return spin(ctx)
	case "tree":
		return tree(ctx, t)
	case "threads":
		return threads(ctx)
	}
	return nil
}

func appendTo(t *sdk.Task[attachments], name string, b []byte) error {
	f, err := os.OpenFile(filepath.Join(t.DataDir(), name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

func main() {
	if isBranch() {
		os.Exit(branch())
	}
	sdk.Serve("bench-worker", "1.0.0", sdk.Class("Bench", func() sdk.Worker[attachments] { return worker{} },
		sdk.Resources(0.001, 1<<20))) // hundreds run at once
}
