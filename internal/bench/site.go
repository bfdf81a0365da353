package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller/api"
	"github.com/skalds-go/skalds/internal/client"
)

// site is where tasks are created, and the folder of the host that runs them.
type site struct {
	*client.Client
	dir string
}

// create creates a task by REST.
func (s *site) create(ctx context.Context, id, do string) error {
	_, err := s.CreateTask(ctx, api.CreateTask{ID: id, ClassName: workerClass, Attachments: []byte(`{"do":"` + do + `"}`)}, "")
	return err
}

// began waits until the attempt number n (from 1) of a task has begun.
func (s *site) began(ctx context.Context, id string, n int) (b beginning, err error) {
	return beganIn(ctx, s.dir, id, n)
}

// beganIn waits for the same on a host with a data folder of its own.
func beganIn(ctx context.Context, dataDir, id string, n int) (b beginning, err error) {
	dir := filepath.Join(dataDir, "recordings", skalds.FileName(id))
	err = until(ctx, fmt.Sprintf("attempt %d of %s begins", n, id), func() (bool, error) {
		all, err := beginnings(dir)
		if len(all) < n {
			return false, err
		}
		b = all[n-1]
		return true, err
	})
	return b, err
}

// ended waits until a task has ended in the state.
func (s *site) ended(ctx context.Context, id string, want skalds.State) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	t, err := s.Wait(ctx, id)
	if err != nil {
		return err
	}
	if t.LifecycleStatus != want {
		return fmt.Errorf("task %s is %s, not %s", id, t.LifecycleStatus, want)
	}
	return nil
}
