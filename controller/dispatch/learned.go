package dispatch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/skalds-go/skalds"
)

// Learned is a profile for people.
type Learned struct {
	ClassName string       `json:"className"`
	Runs      int          `json:"runs"`
	Usual     skalds.Usage `json:"usual" doc:"95 % of the measurements are below; old ones fade within hours"`
	Peak      skalds.Usage `json:"peak" doc:"the highest of late, fading within minutes"`
	Start     skalds.Usage `json:"start" doc:"the most that the first 30 s of a run take"`
	UpdatedAt int64        `json:"updatedAt" doc:"ms since epoch"`
}

// Learned lists what was learned of a worker's classes, by class name. What is not believed yet is left out.
func (l *Ledger) Learned(worker string, now time.Time) []Learned {
	var out []Learned
	for key, p := range l.profiles {
		if key.worker != worker || !p.known() {
			continue
		}
		out = append(out, Learned{
			ClassName: key.className, Runs: p.runs, Start: p.start, UpdatedAt: p.updated.UnixMilli(),
			Usual: skalds.Usage{CPUCores: p.cpu.quantile(0.95), MemoryBytes: int64(p.memory.quantile(0.95))},
			Peak:  skalds.Usage{CPUCores: p.cpu.fadedPeak(now), MemoryBytes: int64(p.memory.fadedPeak(now))},
		})
	}
	slices.SortFunc(out, func(a, b Learned) int { return cmp.Compare(a.ClassName, b.ClassName) })
	return out
}

// ProfileDoc is a profile to be stored.
type ProfileDoc struct {
	ClassName string
	Worker    string // "name@version"
	UpdatedAt time.Time
	Doc       json.RawMessage
}

// profileDoc is the form in which profiles are stored. What it does not know of a later version is ignored.
type profileDoc struct {
	Runs    int          `json:"runs"`
	Samples int          `json:"samples"`
	Start   skalds.Usage `json:"start"`
	CPU     measureDoc   `json:"cpu"`
	Memory  measureDoc   `json:"memory"`
}

type measureDoc struct {
	Unit    float64   `json:"unit"`
	Growth  float64   `json:"growth"`
	Peak    float64   `json:"peak"`
	PeakAt  int64     `json:"peakAt"`  // ms since epoch
	Since   int64     `json:"since"`   // ms since epoch
	First   int       `json:"first"`   // the bucket of the first weight
	Weights []float64 `json:"weights"` // of buckets, as they count from Since
}

// Export writes the profiles that were added to after a time, the smallest class name and worker first.
func (l *Ledger) Export(after time.Time) ([]ProfileDoc, error) {
	var out []ProfileDoc
	for key, p := range l.profiles {
		if !p.updated.After(after) {
			continue
		}
		doc, err := json.Marshal(profileDoc{p.runs, p.samples, p.start, p.cpu.doc(), p.memory.doc()})
		if err != nil {
			return nil, fmt.Errorf("write what was learned about %s in %s: %w", key.className, key.worker, err)
		}
		out = append(out, ProfileDoc{key.className, key.worker, p.updated, doc})
	}
	slices.SortFunc(out, func(a, b ProfileDoc) int {
		return cmp.Or(cmp.Compare(a.ClassName, b.ClassName), cmp.Compare(a.Worker, b.Worker))
	})
	return out, nil
}

// Import reads a stored profile, unless more is known already.
func (l *Ledger) Import(d ProfileDoc) error {
	var doc profileDoc
	if err := json.Unmarshal(d.Doc, &doc); err != nil {
		return fmt.Errorf("read what was learned about %s in %s: %w", d.ClassName, d.Worker, err)
	}
	p := &Profile{runs: doc.Runs, samples: doc.Samples, start: doc.Start, updated: d.UpdatedAt}
	if !p.cpu.read(doc.CPU) || !p.memory.read(doc.Memory) {
		return fmt.Errorf("read what was learned about %s in %s: its histogram is of another kind", d.ClassName, d.Worker)
	}
	key := profileKey{d.ClassName, d.Worker}
	if known := l.profiles[key]; known == nil || known.samples < p.samples {
		l.profiles[key] = p
	}
	return nil
}

func (m *measure) doc() measureDoc {
	d := measureDoc{Unit: m.unit, Growth: histGrowth, Peak: m.peak, PeakAt: m.peakAt.UnixMilli(), Since: m.since.UnixMilli()}
	last := 0
	d.First = histBuckets
	for i, w := range m.buckets {
		if w > 0 {
			d.First, last = min(d.First, i), i
		}
	}
	if d.First < histBuckets {
		d.Weights = m.buckets[d.First : last+1]
	}
	return d
}

// read reports false for what another program has written.
func (m *measure) read(d measureDoc) bool {
	if d.Growth != histGrowth || d.Unit <= 0 || d.First < 0 || d.First+len(d.Weights) > histBuckets {
		return false
	}
	m.unit, m.peak, m.peakAt, m.since = d.Unit, d.Peak, time.UnixMilli(d.PeakAt), time.UnixMilli(d.Since)
	for i, w := range d.Weights {
		if w < 0 {
			return false
		}
		m.buckets[d.First+i] = w
		m.total += w
	}
	return true
}
