package cli

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// defaultDataDir is where a standalone keeps its state unless told otherwise.
const defaultDataDir = "./skalds-data"

// What a host needs; a running task takes at most 12 open files of it.
const (
	fewFiles    = 4096
	tooFewFiles = 256
	littleDisk  = 1 << 30
	noDisk      = 100 << 20
)

func checkMachine(out *findings) {
	checkKernel(out)
	checkCgroup(out, "/sys/fs/cgroup")
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		out.add(healthWarn, "open files", "", "the limit cannot be read: %v", err)
		return
	}
	checkOpenFiles(out, uint64(files.Cur))
}

func checkOpenFiles(out *findings, limit uint64) {
	const advice = "raise the limit with `ulimit -n 65536`, or LimitNOFILE of its systemd unit"
	switch {
	case limit < tooFewFiles:
		out.add(healthFail, "open files", advice, "%d are allowed, a host alone needs more", limit)
	case limit < fewFiles:
		out.add(healthWarn, "open files", advice, "%d are allowed, enough for about %d tasks", limit, (limit-tooFewFiles/2)/12)
	case limit > 1<<40:
		out.add(healthOK, "open files", "", "no limit")
	default:
		out.add(healthOK, "open files", "", "%d are allowed", limit)
	}
}

// checkDataDir tries to write where the data folder is, or where it would be made.
func checkDataDir(out *findings, dir string) {
	const name = "data folder"
	abs, err := filepath.Abs(dir)
	if err != nil {
		out.add(healthFail, name, "", "%s: %v", dir, err)
		return
	}
	at, there := abs, true
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			out.add(healthFail, name, "name another one with --data-dir", "%s is no folder", at)
			return
		}
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) {
			out.add(healthFail, name, "name another one with --data-dir", "%v", err)
			return
		}
		above := filepath.Dir(at)
		if above == at {
			out.add(healthFail, name, "name another one with --data-dir", "%v", err)
			return
		}
		at, there = above, false
	}
	probe, err := os.CreateTemp(at, ".skalds-doctor-*")
	if err != nil {
		out.add(healthFail, name, "give this user the right to write there, or name another one with --data-dir", "cannot write to %s: %v", at, cause(err))
		return
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		out.add(healthFail, name, "", "%v", err)
		return
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(at, &disk); err != nil {
		out.add(healthWarn, name, "", "the free space of %s cannot be read: %v", at, err)
		return
	}
	checkDisk(out, abs, there, int64(uint64(disk.Bavail)*uint64(disk.Bsize)))
}

func checkDisk(out *findings, dir string, there bool, free int64) {
	const name, advice = "data folder", "make room, or name another one with --data-dir"
	what := dir + " is not there yet and can be made"
	if there {
		what = dir + " can be written"
	}
	switch {
	case free < noDisk:
		out.add(healthFail, name, advice, "%s, but has only %s free", what, sizeText(free))
	case free < littleDisk:
		out.add(healthWarn, name, advice, "%s, but has only %s free", what, sizeText(free))
	default:
		out.add(healthOK, name, "", "%s, %s free", what, sizeText(free))
	}
}

// cause is the innermost error: path and operation are in the sentence already.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// checkCgroup says which control groups the machine has, at their usual place.
func checkCgroup(out *findings, root string) {
	const name = "cgroup"
	has := func(path ...string) bool {
		_, err := os.Stat(filepath.Join(append([]string{root}, path...)...))
		return err == nil
	}
	switch {
	case has("cgroup.controllers"):
		out.add(healthOK, name, "", "version 2")
	case has("unified", "cgroup.controllers"), has("memory") && has("unified"):
		out.add(healthOK, name, "", "versions 1 and 2 side by side (hybrid)")
	case has("memory"):
		out.add(healthOK, name, "", "version 1")
	default:
		out.add(healthWarn, name, "`skalds node get ID` says what limits are worth on a node", "there is none")
	}
}
