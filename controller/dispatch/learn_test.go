package dispatch

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/skalds-go/skalds"
)

func TestAStartIsRememberedByStartsNotByTime(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("n"))
	now := noon
	// oneRun takes start for 30 s and 100 MiB for ten minutes.
	oneRun := func(attempt int, start int64) {
		l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "t", ClassName: "Demo"}, Executor: "n"}, now)
		begun := now
		for range 600 {
			now = now.Add(time.Second)
			in := instance("t", 0.1, 100*mib)
			in.Attempt, in.StartedAt = attempt, begun.UnixMilli()
			if now.Sub(begun) < startFor {
				in.Usage.MemoryBytes = start
			}
			in.Peak = skalds.Usage{MemoryBytes: start} // of the whole attempt
			l.Observe(beat("n", func(hb *skalds.Heartbeat) { hb.At, hb.Instances = now.UnixMilli(), []skalds.InstanceStatus{in} }), now)
		}
		l.Release("t")
	}
	needed := func(rest time.Duration) int64 {
		r := request("next")
		return l.NeedsOf(&r, now.Add(rest)).MemoryBytes / mib
	}
	oneRun(1, 800*mib)
	if got := needed(12 * time.Hour); got != 800 {
		t.Errorf("half a day later a start is counted for %d MiB, it took 800", got)
	}
	oneRun(2, 200*mib)
	if got := needed(12 * time.Hour); got != 740 {
		t.Errorf("after one that took less: %d MiB, want a tenth of the way", got)
	}
	for attempt := 3; attempt < 40; attempt++ {
		oneRun(attempt, 200*mib)
	}
	if got := needed(12 * time.Hour); got < 200 || got > 220 {
		t.Errorf("after many that took less: %d MiB", got)
	}
	oneRun(40, 900*mib)
	if got := needed(12 * time.Hour); got != 900 {
		t.Errorf("after one that took more: %d MiB", got)
	}
	list := l.Learned("demo@1.0.0", now.Add(12*time.Hour))
	if len(list) != 1 || list[0].ClassName != "Demo" || list[0].Runs != 40 || list[0].Start.MemoryBytes != 900*mib ||
		list[0].Usual.MemoryBytes < 100*mib || list[0].Usual.MemoryBytes > 120*mib || list[0].Peak.MemoryBytes > mib {
		t.Errorf("learned %+v", list)
	}
	if list := l.Learned("demo@2.0.0", now); len(list) != 0 {
		t.Errorf("of another version %+v", list)
	}
}

func TestTheEndOfAnAttemptIsLearnedFromOnce(t *testing.T) {
	l := NewLedger(DefaultConfig())
	join(l, beat("n"))
	l.Hold(&skalds.Task{Spec: skalds.Spec{ID: "seen", ClassName: "Demo"}, Executor: "n"}, noon)
	for range 10 {
		l.Observe(beat("n", func(hb *skalds.Heartbeat) { hb.Instances = []skalds.InstanceStatus{instance("seen", 1, 100*mib)} }), noon)
	}
	end := func(id string, change func(*skalds.Attempt)) *Profile {
		a := &skalds.Attempt{
			TaskID: id, Epoch: 1, Attempt: 1, Version: "demo@1.0.0", PID: 7, StartedAt: 1000, EndedAt: 1500,
			Peak: skalds.Usage{CPUCores: 2, MemoryBytes: 300 * mib},
		}
		if change != nil {
			change(a)
		}
		l.Ended("Demo", a, noon)
		return l.profiles[profileKey{"Demo", "demo@1.0.0"}]
	}
	check := func(what string, p *Profile, runs, samples int, start int64) {
		t.Helper()
		if got := p.needs(noon).MemoryBytes; p.runs != runs || p.samples != samples || p.start.MemoryBytes != start*mib || got < 300*mib || got > 360*mib {
			t.Errorf("%s: %d runs, %d samples, start %d MiB, need %d MiB", what, p.runs, p.samples, p.start.MemoryBytes/mib, got/mib)
		}
	}
	l.Release("seen") // its end is applied before its record comes
	check("one that heartbeats have shown", end("seen", nil), 1, 10, 0)
	check("one that ended between two heartbeats", end("short", nil), 2, 11, 300)
	for name, change := range map[string]func(*skalds.Attempt){
		"no process":  func(a *skalds.Attempt) { a.PID = 0 },
		"no version":  func(a *skalds.Attempt) { a.Version = "" },
		"no measures": func(a *skalds.Attempt) { a.Peak = skalds.Usage{} },
	} {
		check(name, end("none", change), 2, 11, 300)
	}
}

func TestAProfileIsStoredAndRead(t *testing.T) {
	l := NewLedger(DefaultConfig())
	p := l.profile("Demo", "demo@1.0.0")
	now := noon
	for i := range 1000 {
		now = now.Add(time.Second)
		p.observe(float64(i%20)/10, int64(50+i%30)*mib, now)
	}
	p.runs = 7
	p.started(skalds.Usage{CPUCores: 1.5, MemoryBytes: 90 * mib})
	docs, err := l.Export(noon)
	if err != nil || len(docs) != 1 || docs[0].ClassName != "Demo" || docs[0].Worker != "demo@1.0.0" || !docs[0].UpdatedAt.Equal(now) {
		t.Fatalf("%+v, %v", docs, err)
	}
	if n := len(docs[0].Doc); n > 2000 {
		t.Errorf("a profile takes %d bytes", n)
	}
	if again, err := l.Export(now); err != nil || len(again) != 0 {
		t.Errorf("what has not changed is written: %v, %v", again, err)
	}
	other := NewLedger(DefaultConfig())
	if err := other.Import(docs[0]); err != nil {
		t.Fatal(err)
	}
	q := other.profiles[profileKey{"Demo", "demo@1.0.0"}]
	same := func(what string) {
		t.Helper()
		for _, later := range []time.Duration{0, time.Hour, 100 * time.Hour} {
			a, b := p.needs(now.Add(later)), q.needs(now.Add(later))
			if math.Abs(a.CPUCores-b.CPUCores) > 1e-9 || a.MemoryBytes != b.MemoryBytes {
				t.Errorf("%s, after %s: %+v, was %+v", what, later, b, a)
			}
		}
	}
	if same("read"); q.runs != 7 || q.start != p.start {
		t.Errorf("%d runs, start %+v", q.runs, q.start)
	}
	now = now.Add(time.Hour)
	p.observe(3, 200*mib, now)
	q.observe(3, 200*mib, now)
	same("and gone on with")
	join(other, beat("n"))
	r := request("next")
	if v, ok := other.Place(&r, now); !ok || v.Needs.From() != "learned from 7 runs" || v.Needs.MemoryBytes != p.needs(now).MemoryBytes {
		t.Errorf("placed with %+v", v.Needs)
	}
	if err := other.Import(docs[0]); err != nil || other.profiles[profileKey{"Demo", "demo@1.0.0"}] != q {
		t.Errorf("what is known is replaced by what was stored before: %v", err)
	}
	for _, doc := range []string{
		``, `[]`, `{}`, `{"cpu":{"unit":1,"growth":1.2,"first":90,"weights":[1,1,1,1,1,1,1,1]},"memory":{"unit":1,"growth":1.2}}`,
		`{"cpu":{"unit":1,"growth":1.2,"first":-1,"weights":[1]},"memory":{"unit":1,"growth":1.2}}`, `{"cpu":{"unit":1,"growth":2},"memory":{"unit":1,"growth":1.2}}`,
		`{"cpu":{"unit":1,"growth":1.2,"weights":[-1]},"memory":{"unit":1,"growth":1.2}}`,
	} {
		if err := other.Import(ProfileDoc{ClassName: "Demo", Worker: "x@1", Doc: json.RawMessage(doc)}); err == nil {
			t.Errorf("taken for a profile: %s", doc)
		}
	}
}

// BenchmarkPlaceLearned10k is BenchmarkPlace10k for tasks that ask for nothing.
func BenchmarkPlaceLearned10k(b *testing.B) {
	l, requests := tenThousandNodes(func(t *skalds.Task) {})
	p := l.profile("Demo", "demo@1.0.0")
	for i := range 1000 {
		p.observe(float64(i%20)/100, int64(50+i%30)*mib, noon)
	}
	placeAll(b, l, requests)
}
