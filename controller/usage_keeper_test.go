package controller_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/controller/controllertest"
)

func TestUsageSurvivesARestartOfTheController(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.host("n1", controllertest.Worker("demo", "1.0.0", "Demo"))
		h.Usage = skalds.Usage{CPUCores: 0.25, MemoryBytes: 8 << 20}
		h.Behave = forever
		w.startHost(h)
		w.create("goes on")
		w.awaitState("goes on", skalds.Running)
		begun := time.Now().UnixMilli()
		curve := func(last time.Duration) []skalds.UsageSample {
			t.Helper()
			list, err := w.Tasks().Usage(t.Context(), "goes on", last)
			if err != nil || len(list) == 0 {
				t.Fatalf("%d samples, %v", len(list), err)
			}
			return list
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		before := curve(time.Hour)
		if first := before[0].At - begun; first > 15_000 {
			t.Errorf("the curve begins %d ms after the task", first)
		}
		w.stop()
		w.start()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		after := curve(time.Hour)
		if first := after[0].At - before[0].At; first < -60_000 || first > 60_000 {
			t.Errorf("after the restart the curve begins %d ms later", first)
		}
		spans := map[int64]int{}
		for i, s := range after {
			spans[s.Span]++
			if i > 0 && s.At-after[i-1].At > 75_000 {
				t.Errorf("a gap of %d ms", s.At-after[i-1].At)
			}
			if s.Span != 0 && s.Usage != (skalds.Usage{CPUCores: 0.25, MemoryBytes: 8 << 20}) && s.Usage != (skalds.Usage{}) && s.Peak != h.Usage {
				t.Errorf("%+v", s)
			}
		}
		if spans[0] < 60 || spans[10_000] < 10 || spans[60_000] < 15 {
			t.Errorf("samples by span in ms: %v", spans)
		}
		if list := curve(time.Minute); list[len(list)-1].At-list[0].At > 60_000 {
			t.Errorf("the last minute has %d ms", list[len(list)-1].At-list[0].At)
		}
	})
}

func TestAnEndedTaskKeepsItsCurve(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.host("n1", controllertest.Worker("demo", "1.0.0", "Demo"))
		h.Usage = skalds.Usage{CPUCores: 0.25, MemoryBytes: 8 << 20}
		h.Behave = func(skalds.Command, int) controllertest.Plan { return controllertest.Plan{Runs: 5 * time.Minute} }
		w.startHost(h)
		w.create("t")
		time.Sleep(5 * time.Minute)
		w.awaitState("t", skalds.Finished)
		ended := w.task("t").EndedAt
		w.store.SetFault(func(op string) error { // one that keeps nothing at the moment
			if op == "putUsage" {
				return errors.New("away")
			}
			return nil
		})
		time.Sleep(10 * time.Minute)
		w.store.SetFault(nil)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		w.stop()
		w.start()
		list, err := w.Tasks().Usage(t.Context(), "t", time.Hour)
		if err != nil || len(list) == 0 {
			t.Fatalf("%d samples, %v", len(list), err)
		}
		last, moments := list[len(list)-1], 0
		for _, s := range list {
			if s.Span == 0 {
				moments++
			}
		}
		if last.Span != 0 || ended-last.At > 3000 || moments < 80 || ended-list[0].At < (4*time.Minute).Milliseconds() {
			t.Errorf("%d moments; the first sample is %d ms before the end, the last %d ms", moments, ended-list[0].At, ended-last.At)
		}
		stored, err := w.store.Usage(t.Context(), "t")
		if err != nil || len(stored) < len(list) {
			t.Errorf("%d samples are stored, %v", len(stored), err)
		}
	})
}

func TestOldUsageIsRemoved(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(w.host("n1", controllertest.Worker("demo", "1.0.0", "Demo"))).Behave = forever
		w.create("t")
		w.awaitState("t", skalds.Running)
		ago := func(d time.Duration) int64 { return time.Now().Add(-d).UnixMilli() }
		old, fresh := ago(8*24*time.Hour), ago(6*24*time.Hour)
		if err := w.store.PutUsage(t.Context(), []controller.TaskUsage{{TaskID: "t", Samples: []skalds.UsageSample{{At: old}, {At: fresh}}}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		list, err := w.store.Usage(t.Context(), "t")
		if err != nil || len(list) == 0 || list[0].At != fresh {
			t.Errorf("%+v, %v", list[:min(1, len(list))], err)
		}
	})
}

func TestWhatWasLearnedSurvivesARestartOfTheController(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		h := w.host("n1", controllertest.Worker("demo", "1.0.0", "Demo"))
		h.Usage = skalds.Usage{CPUCores: 0.25, MemoryBytes: 200 << 20}
		h.Behave = func(_ skalds.Command, _ int) controllertest.Plan { return controllertest.Plan{Runs: 20 * time.Second} }
		w.startHost(h)
		w.create("a")
		w.awaitState("a", skalds.Finished)
		synctest.Wait()
		h.Kill() // so that nothing is learned anew
		w.stop()
		w.start()
		workers, err := w.Nodes().Workers(t.Context())
		if err != nil || len(workers) != 1 || len(workers[0].Learned) != 1 {
			t.Fatalf("%+v, %v", workers, err)
		}
		if l := workers[0].Learned[0]; l.ClassName != "Demo" || l.Runs != 1 || l.Start != h.Usage || l.Usual.MemoryBytes < 200<<20 || l.Usual.MemoryBytes > 240<<20 {
			t.Errorf("learned %+v", l)
		}
		w.create("b")
		why, err := w.Tasks().Why(t.Context(), "b")
		if err != nil || why.NeedsFrom != "learned from 1 run" || why.Needs.MemoryBytes < 200<<20 {
			t.Errorf("%+v, %v", why, err)
		}
	})
}
