package cgroup

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Enter moves the calling thread, and nothing else of its process, into the directories of version 1: what it forks until
// Leave is in the group from its first instruction. The goroutine must be locked to its thread. It costs less than moving a
// process, because a thread that moves itself needs no pause of all forks of the machine.
func (j *Join) Enter() error {
	for i, path := range j.Tasks {
		if err := j.kernel.write(path, "0"); err != nil {
			return errors.Join(fmt.Errorf("enter group: %w", err), j.back(i))
		}
	}
	return nil
}

// Leave moves the calling thread back to where groups are made: to the group of this process. If it fails, the thread must do
// nothing else: a goroutine that ends without unlocking it takes it along, unless it is the main thread.
func (j *Join) Leave() error { return j.back(len(j.Tasks)) }

// Home is the file by which a thread that has entered a group of version 1 by one of Tasks leaves it again: the group is in the
// folder of our groups, and that in the group of this process.
func (*Join) Home(tasks string) string {
	return filepath.Join(filepath.Dir(tasks), "..", "..", "tasks")
}

func (j *Join) back(n int) error {
	var errs []error
	for _, path := range j.Tasks[:n] {
		if err := j.kernel.write(j.Home(path), "0"); err != nil {
			errs = append(errs, fmt.Errorf("leave group: %w", err))
		}
	}
	return errors.Join(errs...)
}
