//go:build !linux

package main

import "syscall"

// tied is Linux's: elsewhere a child outlives a bench that was killed.
func tied() *syscall.SysProcAttr { return nil }

// apart is for what is started on Linux only.
func apart() *syscall.SysProcAttr { return nil }
