package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

// pageSize is how many tasks are read at once.
const pageSize = 500

// Write writes everything that a store holds. Format, Version and Generation of the header are filled in. A store that is in use meanwhile
// gives each record as it is when its turn comes: where one moment is wanted, hand in a copy.
func Write(ctx context.Context, w io.Writer, s controller.Store, h Header) (Counts, error) {
	generation, err := s.Generation(ctx)
	if err != nil {
		return nil, err
	}
	h.Format, h.Version, h.Generation = formatName, formatVersion, generation
	buffered := bufio.NewWriterSize(w, 1<<20)
	out := &writer{sum: sha256.New(), counts: Counts{}}
	out.to = io.MultiWriter(buffered, out.sum)
	if err := out.line(h); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context, *writer, controller.Store) error{writeNodes, writeTasks, writeAudits, writeProfiles} {
		if err := part(ctx, out, s); err != nil {
			return nil, err
		}
	}
	if err := out.line(record{End: &trailer{out.counts, hex.EncodeToString(out.sum.Sum(nil))}}); err != nil {
		return nil, err
	}
	if err := buffered.Flush(); err != nil {
		return nil, fmt.Errorf("write the backup: %w", err)
	}
	return out.counts, nil
}

type writer struct {
	to     io.Writer
	sum    hash.Hash
	counts Counts
}

func (w *writer) line(v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = w.to.Write(append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

func (w *writer) record(r record) error {
	w.counts[r.kind()]++
	return w.line(r)
}

func writeNodes(ctx context.Context, w *writer, s controller.Store) error {
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return err
	}
	for i := range nodes {
		if err := w.record(record{Node: &nodes[i]}); err != nil {
			return err
		}
	}
	workers, err := s.Workers(ctx)
	if err != nil {
		return err
	}
	byNode := map[string]*nodeWorkers{}
	var order []string
	for _, worker := range workers {
		for _, node := range worker.Nodes {
			if byNode[node] == nil {
				byNode[node] = &nodeWorkers{NodeID: node}
				order = append(order, node)
			}
			byNode[node].Workers = append(byNode[node].Workers, worker.WorkerInfo)
		}
	}
	slices.Sort(order)
	for _, node := range order {
		if err := w.record(record{Workers: byNode[node]}); err != nil {
			return err
		}
	}
	return nil
}

// writeTasks writes each task, and behind it what belongs to it.
func writeTasks(ctx context.Context, w *writer, s controller.Store) error {
	f := controller.TaskFilter{Limit: pageSize}
	for {
		page, err := s.Tasks(ctx, f)
		if err != nil {
			return err
		}
		for _, t := range page.Items {
			if err := w.record(record{Task: t}); err != nil {
				return err
			}
			if err := writeRecords(ctx, w, s, t.ID); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		f.Cursor = page.Next
	}
}

func writeRecords(ctx context.Context, w *writer, s controller.Store, id string) error {
	attempts, err := s.Attempts(ctx, id)
	if err != nil {
		return err
	}
	for i := range attempts {
		a := &attempts[i]
		key := skalds.OutcomeKey{TaskID: id, Epoch: a.Epoch, Attempt: a.Attempt, Kind: skalds.OutcomeExit}
		if err := w.record(record{Outcome: &skalds.Outcome{OutcomeKey: key, Exit: a}}); err != nil {
			return err
		}
	}
	artifacts, err := s.Artifacts(ctx, id, math.MaxInt32)
	if err != nil {
		return err
	}
	for i := range artifacts {
		a := &artifacts[i]
		// The attempt is not known any more: before all that may still tell of this path.
		key := skalds.OutcomeKey{TaskID: id, Epoch: a.Epoch, Kind: skalds.OutcomeArtifact, Name: a.Path}
		if err := w.record(record{Outcome: &skalds.Outcome{OutcomeKey: key, Artifact: a}}); err != nil {
			return err
		}
	}
	samples, err := s.Usage(ctx, id)
	if err != nil || len(samples) == 0 {
		return err
	}
	return w.record(record{Usage: &taskUsage{id, samples}})
}

// writeAudits writes the oldest first, as they are to be put in.
func writeAudits(ctx context.Context, w *writer, s controller.Store) error {
	audits, err := s.Audits(ctx, "", math.MaxInt32)
	if err != nil {
		return err
	}
	for i := range slices.Backward(audits) {
		if err := w.record(record{Audit: &audits[i]}); err != nil {
			return err
		}
	}
	return nil
}

func writeProfiles(ctx context.Context, w *writer, s controller.Store) error {
	profiles, err := s.Profiles(ctx)
	if err != nil {
		return err
	}
	for _, p := range profiles {
		if err := w.record(record{Learned: &profile{p.ClassName, p.Worker, p.UpdatedAt, p.Doc}}); err != nil {
			return err
		}
	}
	return nil
}
