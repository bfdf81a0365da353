package porttest

import (
	"encoding/json"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

const hour = int64(3_600_000)

func minuteOf(at int64, cpu float64, memory int64) skalds.UsageSample {
	return skalds.UsageSample{
		At: at, Span: 60_000, Usage: skalds.Usage{CPUCores: cpu, MemoryBytes: memory}, Progress: 12.5,
		Peak: skalds.Usage{CPUCores: cpu + 1.5, MemoryBytes: memory + 1<<30},
	}
}

func storeUsage(t *testing.T, s controller.Store) {
	ctx := t.Context()
	usage := func(id string) []skalds.UsageSample {
		t.Helper()
		list, err := s.Usage(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	put := func(pieces ...controller.TaskUsage) {
		t.Helper()
		if err := s.PutUsage(ctx, pieces); err != nil {
			t.Fatal(err)
		}
	}
	if list := usage("unknown"); len(list) != 0 {
		t.Errorf("of an unknown task: %v", list)
	}
	start := 500_000 * hour
	first, second, next := minuteOf(start+58*60_000, 0.25, 64<<20), minuteOf(start+59*60_000, 0.125, 65<<20), minuteOf(start+hour, 3, 5<<40)
	moment := skalds.UsageSample{At: start + hour, Usage: skalds.Usage{CPUCores: 0.001, MemoryBytes: 1 << 10}}
	idle := skalds.UsageSample{At: start + hour + 123}
	other := minuteOf(start, 1, 1<<20)
	put(controller.TaskUsage{TaskID: "one", Samples: []skalds.UsageSample{first}}, controller.TaskUsage{TaskID: "two", Samples: []skalds.UsageSample{other}})
	put(controller.TaskUsage{TaskID: "one", Samples: []skalds.UsageSample{second, next}}, controller.TaskUsage{TaskID: "none"})
	put(controller.TaskUsage{TaskID: "one", Samples: []skalds.UsageSample{second, next, moment, idle}}) // a repetition
	put()
	same(t, "of one", usage("one"), []skalds.UsageSample{first, second, next, moment, idle})
	same(t, "of two", usage("two"), []skalds.UsageSample{other})
	if err := s.PruneUsage(ctx, start+hour); err != nil {
		t.Fatal(err)
	}
	same(t, "of one, without the first hour", usage("one"), []skalds.UsageSample{next, moment, idle})
	if list := usage("two"); len(list) != 0 {
		t.Errorf("what was pruned is still there: %v", list)
	}

	done := newTask("one", 1)
	done.LifecycleStatus, done.EndedAt = skalds.Finished, 5
	create(t, s, done)
	if _, err := s.Prune(ctx, 10, 0); err != nil {
		t.Fatal(err)
	}
	if list := usage("one"); len(list) != 0 {
		t.Errorf("the usage of a pruned task is still there: %v", list)
	}
}

func storeProfiles(t *testing.T, s controller.Store) {
	ctx := t.Context()
	p := func(class, worker string, at int64, doc string) controller.StoredProfile {
		return controller.StoredProfile{ClassName: class, Worker: worker, UpdatedAt: at, Doc: json.RawMessage(doc)}
	}
	for _, list := range [][]controller.StoredProfile{
		{p("B", "w@1.0.0", 1, `{"runs":1}`), p("A", "w@2.0.0", 2, `{"runs":2}`), p("A", "w@1.0.0", 3, `{}`)},
		{p("B", "w@1.0.0", 9, `{"runs":5}`)},
		nil,
	} {
		if err := s.SaveProfiles(ctx, list); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, want ...controller.StoredProfile) {
		t.Helper()
		got, err := s.Profiles(ctx)
		if err != nil {
			t.Fatal(err)
		}
		same(t, what, got, want)
	}
	check("profiles", p("A", "w@1.0.0", 3, `{}`), p("A", "w@2.0.0", 2, `{"runs":2}`), p("B", "w@1.0.0", 9, `{"runs":5}`))
	if err := s.PruneProfiles(ctx, 3); err != nil {
		t.Fatal(err)
	}
	check("profiles that are fresh", p("A", "w@1.0.0", 3, `{}`), p("B", "w@1.0.0", 9, `{"runs":5}`))
}
