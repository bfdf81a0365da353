package shim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// fork makes the process; it is in its control groups before its first instruction, and has its other limits a moment after
// the fork. live is our end of its liveness pipe.
func (s *Spec) fork(null, stdout, stderr int) (pid, live int, stage string, err error) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, StageFork, fmt.Errorf("make a pipe: %w", err)
	}
	defer func() {
		_ = unix.Close(pipe[0])
		if err != nil {
			_ = unix.Close(pipe[1])
		}
	}()
	sys := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM, Cloneflags: s.Cloneflags}
	if s.Cloneflags&unix.CLONE_NEWPID != 0 {
		// Nothing of the namespace outlives its first process, and only this signal reaches one that has not asked for others.
		sys.Pdeathsig = syscall.SIGKILL
	}
	if s.UID != nil {
		sys.Credential = &syscall.Credential{Uid: uint32(*s.UID), Gid: uint32(s.GID)}
		sys.GidMappingsEnableSetgroups = true // to give up our own, which package syscall leaves out otherwise
		defer keepDumpable()()
	}
	for _, m := range s.UIDMap {
		sys.UidMappings = append(sys.UidMappings, syscall.SysProcIDMap{ContainerID: m.Inside, HostID: m.Outside, Size: m.Size})
	}
	for _, m := range s.GIDMap {
		sys.GidMappings = append(sys.GidMappings, syscall.SysProcIDMap{ContainerID: m.Inside, HostID: m.Outside, Size: m.Size})
	}
	if s.CgroupDir != "" {
		fd, err := unix.Open(s.CgroupDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, 0, StageJoin, fmt.Errorf("open control group %s: %w", s.CgroupDir, err)
		}
		defer func() { _ = unix.Close(fd) }()
		sys.UseCgroupFD, sys.CgroupFD = true, fd
	}
	if len(s.Join) > 0 {
		defer func() { // also where joining failed halfway
			if err := moveThread(s.Leave); err != nil {
				fmt.Fprintln(os.Stderr, "skalds shim: leave a worker's control group:", err)
			}
		}()
		if err := moveThread(s.Join); err != nil {
			return 0, 0, StageJoin, fmt.Errorf("join control group: %w", err)
		}
	}
	path, args, err := s.viaRestrict()
	if err != nil {
		return 0, 0, StageFork, err
	}
	pid, err = syscall.ForkExec(path, args, &syscall.ProcAttr{
		Dir: s.Dir, Env: MergeEnv(os.Environ(), s.Env), Files: []uintptr{uintptr(null), uintptr(stdout), uintptr(stderr), uintptr(pipe[0])}, Sys: sys,
	})
	if err != nil && s.Restrict != nil {
		return 0, 0, StageRestrict, fmt.Errorf("run this host's own program in the worker's place: %w", err)
	}
	if err != nil {
		return 0, 0, StageFork, &os.PathError{Op: "fork/exec", Path: s.Path, Err: err}
	}
	if err := s.limit(pid); err != nil {
		_ = unix.Kill(-pid, unix.SIGKILL)
		_, _ = unix.Wait4(pid, nil, 0, nil)
		return 0, 0, StageLimits, fmt.Errorf("set limits: %w", err)
	}
	return pid, pipe[1], "", nil
}

// keepDumpable undoes what a change of users in a child does to us: the child shares our memory until it executes, and the change
// marks that as one that nobody may look at.
func keepDumpable() (restore func()) {
	was, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	return func() {
		if err == nil && was == 1 {
			_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
		}
	}
}

// moveThread moves the thread that calls into v1 control groups, given by their tasks files.
func moveThread(tasks []string) error {
	var errs []error
	for _, path := range tasks {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			errs = append(errs, &os.PathError{Op: "open", Path: path, Err: err})
			continue
		}
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			errs = append(errs, &os.PathError{Op: "write", Path: path, Err: err})
		}
		_ = unix.Close(fd)
	}
	return errors.Join(errs...)
}

// limit sets what belongs to the process itself. What only makes it a better neighbour may be forbidden: it runs without.
func (s *Spec) limit(pid int) error {
	var errs []error
	if s.Restrict == nil { // else it sets them itself
		errs = append(errs, SetRlimits(pid, s.Rlimits))
	}
	errs = append(errs, unlessForbidden(raiseOOMScore(pid, s.OOMScore)))
	if s.Nice != 0 {
		errs = append(errs, unlessForbidden(beNicer(pid, s.Nice)))
	}
	if err := errors.Join(errs...); err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil // a process that has gone already tells its story by its exit
}

// SetRlimits sets limits of a process; 0 is this one. None goes beyond what the process may have already.
func SetRlimits(pid int, list []Rlimit) error {
	var errs []error
	for _, l := range list {
		var old unix.Rlimit
		err := unix.Prlimit(pid, l.Resource, nil, &old)
		if v := min(l.Value, old.Max); err == nil {
			err = unix.Prlimit(pid, l.Resource, &unix.Rlimit{Cur: v, Max: v}, nil)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("resource %d: %w", l.Resource, err))
		}
	}
	return errors.Join(errs...)
}

func unlessForbidden(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

// raiseOOMScore raises the score of a process, unless it has inherited a higher one, which must not be lowered.
func raiseOOMScore(pid, score int) error {
	path := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	has, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || has >= score {
		return err
	}
	return os.WriteFile(path, []byte(strconv.Itoa(score)), 0)
}

// beNicer gives a process the niceness of this one and some more. It goes by the process's group, since Linux would change but
// one thread of a process. The system call reports a niceness of 0 as 20, counting down from there.
func beNicer(pid, more int) error {
	own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PGRP, pid, min(20-own+more, 19))
}
