package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skalds-go/skalds/plugins/procstats"
)

// ownShim is the shim of the only launcher in this process.
func ownShim() (pid int, err error) { return shimOf(os.Getpid()) }

// shimOf is the shim of the only launcher in a process.
func shimOf(host int) (pid int, err error) {
	list, err := procstats.List()
	if err != nil {
		return 0, err
	}
	for _, p := range list {
		if p.PPID != host || p.State == 'Z' {
			continue
		}
		args, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "cmdline"))
		if err != nil || !slices.Contains(strings.Split(string(args), "\x00"), "__shim") {
			continue
		}
		if pid != 0 {
			return 0, fmt.Errorf("find the shim: both %d and %d are one", pid, p.PID)
		}
		pid = p.PID
	}
	if pid == 0 {
		return 0, errors.New("find the shim: no child of the process is one")
	}
	return pid, nil
}
