package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	sdk "github.com/skalds-go/skalds/plugin-sdk"
)

const (
	branches     = 14 // with a twig each, and one twig alone: with the worker a tree of 30
	branchArg    = "branch"
	twigArg      = "twig"
	branchLives  = 2 * time.Minute // nothing waits for it when all else fails
	branchLength = 3               // arguments of one
)

// tree starts 29 processes, half of them by others of them and in sessions of their own. Each notes its pid in the file tree.
func tree(ctx context.Context, t *sdk.Task[attachments]) error {
	file := filepath.Join(t.DataDir(), "tree")
	if err := noteSelf(file); err != nil {
		return err
	}
	for n := range branches + 1 {
		kind := branchArg
		if n == branches {
			kind = twigArg
		}
		if err := grow(kind, file, false); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func isBranch() bool {
	return len(os.Args) == branchLength && (os.Args[1] == branchArg || os.Args[1] == twigArg)
}

// branch is a process of a tree: one that has another, or a twig.
func branch() int {
	err := noteSelf(os.Args[2])
	if err == nil && os.Args[1] == branchArg {
		err = grow(twigArg, os.Args[2], true)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	time.Sleep(branchLives)
	return 0
}

// grow starts a process that nobody waits for.
func grow(kind, file string, session bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(self, kind, file)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start a process of the tree: %w", err)
	}
	return nil
}

func noteSelf(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = fmt.Fprintln(f, os.Getpid())
	return err
}
