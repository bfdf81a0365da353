package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

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
