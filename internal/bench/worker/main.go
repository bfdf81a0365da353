package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

type attachments struct {
	Do string `json:"do" jsonschema:"required,enum=finish,enum=wait,enum=leak"`
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
	}
	return nil
}

const (
	leakRate  = 1 << 30 // bytes a second
	leakPiece = 1 << 20
)

// leak takes memory at a constant rate, past the garbage collector, until it is killed. After every piece it appends
// (ns since epoch, bytes so far) to the file leaked.
func leak(ctx context.Context, t *sdk.Task[attachments]) error {
	f, err := os.OpenFile(filepath.Join(t.DataDir(), "leaked"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	began, page := time.Now(), os.Getpagesize()
	for taken := 0; ctx.Err() == nil; {
		if behind := time.Duration(float64(taken) / leakRate * float64(time.Second)); time.Since(began) < behind {
			time.Sleep(behind - time.Since(began))
		}
		b, err := syscall.Mmap(-1, 0, leakPiece, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", taken, err)
		}
		for i := 0; i < len(b); i += page {
			b[i] = 1
		}
		taken += leakPiece
		var record [16]byte
		binary.LittleEndian.PutUint64(record[:8], uint64(time.Now().UnixNano()))
		binary.LittleEndian.PutUint64(record[8:], uint64(taken))
		if _, err := f.Write(record[:]); err != nil {
			return err
		}
	}
	return ctx.Err()
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
	sdk.Serve("bench-worker", "1.0.0", sdk.Class("Bench", func() sdk.Worker[attachments] { return worker{} },
		sdk.Resources(0.001, 1<<20))) // hundreds run at once
}
