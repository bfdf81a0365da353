package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/skalds-go/skalds/internal/cli"
)

// awaitEvery is the time between two looks at who is left.
const awaitEvery = 20 * time.Millisecond

// awaitUnitCommand is what a unit of systemd runs after its host has died (ExecStopPost): the host's shim ends the workers and tells the
// controllers, and must be let do it.
func awaitUnitCommand() *cobra.Command {
	var within time.Duration
	c := &cobra.Command{
		Use: "await-unit", Hidden: true, Args: cli.NoArgs,
		Short: "Wait until nobody is left in the control group of the service that runs this, then kill who still is",
		RunE: func(c *cobra.Command, _ []string) error {
			groups, err := unitGroups("/proc/self")
			if err != nil {
				return err
			}
			killed, err := awaitEmpty(c.Context(), groups, within)
			if err != nil {
				return err
			}
			if len(killed) > 0 {
				_, err = fmt.Fprintf(c.ErrOrStderr(), "still there after %s, and killed: %v\n", within, killed)
			}
			return err
		},
	}
	c.Flags().DurationVar(&within, "within", 5*time.Second, "`time` to wait")
	return c
}

// unitGroups are the folders of the service's control group: in version 2, and in the hierarchy that systemd has for itself beside
// version 1. It refuses a process that is in none of a unit's own: others would be killed.
func unitGroups(proc string) ([]string, error) {
	groups, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil {
		return nil, fmt.Errorf("find the control group of this service: %w", err)
	}
	mounts, err := os.Open(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("find the control group of this service: %w", err)
	}
	defer func() { _ = mounts.Close() }()
	var found []string
	for s := bufio.NewScanner(mounts); s.Scan(); {
		before, after, _ := strings.Cut(s.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) < 3 {
			continue
		}
		want := ""
		switch {
		case kind[0] == "cgroup2":
			want = "0::"
		case kind[0] == "cgroup" && slices.Contains(strings.Split(kind[2], ","), "name=systemd"):
			want = ":name=systemd:"
		default:
			continue
		}
		for line := range strings.Lines(string(groups)) {
			_, path, ok := strings.Cut(strings.TrimSpace(line), want)
			if !ok {
				continue
			}
			path = strings.TrimSuffix(strings.TrimPrefix(path, strings.TrimSuffix(fields[3], "/")), "/.control")
			if strings.HasSuffix(path, ".service") {
				found = append(found, filepath.Join(fields[4], path))
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.New("this is no service of systemd with a control group of its own: it is meant for ExecStopPost= of a unit")
	}
	return found, nil
}

// awaitEmpty returns when nobody but this process is left in the groups and below, or has killed who was after the time.
func awaitEmpty(ctx context.Context, groups []string, within time.Duration) (killed []int, err error) {
	tick := time.NewTicker(awaitEvery)
	defer tick.Stop()
	for over := time.Now().Add(within); ; {
		left, err := membersOf(groups)
		if err != nil || len(left) == 0 {
			return killed, err
		}
		if time.Now().After(over.Add(within)) {
			return killed, fmt.Errorf("processes that cannot be killed are left in the control group: %v", left)
		}
		if time.Now().After(over) {
			for _, pid := range left {
				if err := syscall.Kill(pid, syscall.SIGKILL); err == nil && !slices.Contains(killed, pid) {
					killed = append(killed, pid)
				}
			}
		}
		select {
		case <-ctx.Done():
			return killed, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// membersOf lists the processes in groups and below, but for this one.
func membersOf(groups []string) (pids []int, err error) {
	for _, group := range groups {
		err := filepath.WalkDir(group, func(path string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile
			}
			if err != nil || !e.IsDir() {
				return err
			}
			b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EOPNOTSUPP) {
					return nil // removed meanwhile, or one of threads, whose processes are those of the group above
				}
				return err
			}
			for _, line := range strings.Fields(string(b)) {
				if pid, err := strconv.Atoi(line); err == nil && pid > 0 && pid != os.Getpid() && !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look who is left in the control group of this service: %w", err)
		}
	}
	return pids, nil
}
