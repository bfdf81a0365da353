package porttest

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/skalds-go/skalds"
	"github.com/skalds-go/skalds/controller"
)

func exitOutcome(task string, epoch int64, attempt int, ended int64, kind skalds.ExitKind) skalds.Outcome {
	a := &skalds.Attempt{TaskID: task, Epoch: epoch, Attempt: attempt, Node: "n1", Version: "w@1.0.0", StartedAt: epoch*100 + int64(attempt), EndedAt: ended}
	if kind != "" {
		a.Exit = &skalds.Exit{Kind: kind}
	}
	return skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: task, Epoch: epoch, Attempt: attempt, Kind: skalds.OutcomeExit}, Exit: a}
}

func storeOutcomes(t *testing.T, s controller.Store) {
	create(t, s, newTask("one", 1))
	put := func(o skalds.Outcome) {
		t.Helper()
		if err := s.PutOutcome(t.Context(), o); err != nil {
			t.Fatalf("put an outcome: %v", err)
		}
	}
	put(exitOutcome("one", 2, 1, 0, "")) // arrives before that of an older epoch
	put(exitOutcome("one", 1, 2, 0, ""))
	put(exitOutcome("one", 1, 1, 500, skalds.ExitSignal))
	put(exitOutcome("one", 1, 1, 0, ""))                  // the start, late: the end stays
	put(exitOutcome("one", 1, 1, 900, skalds.ExitError))  // another end: the first one stays
	put(exitOutcome("one", 1, 2, 600, skalds.ExitOOM))    // the end replaces the start
	put(exitOutcome("other", 1, 1, 600, skalds.ExitExit)) // of another task
	got, err := s.Attempts(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	want := []skalds.Attempt{*exitOutcome("one", 1, 1, 500, skalds.ExitSignal).Exit, *exitOutcome("one", 1, 2, 600, skalds.ExitOOM).Exit, *exitOutcome("one", 2, 1, 0, "").Exit}
	same(t, "attempts", got, want)

	artifact := func(name string, started, ended, bytes int64) skalds.Outcome {
		return skalds.Outcome{
			OutcomeKey: skalds.OutcomeKey{TaskID: "one", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeArtifact, Name: name},
			Artifact:   &skalds.Artifact{TaskID: "one", Epoch: 1, Kind: "recording", Path: name, StartedAt: started, EndedAt: ended, Bytes: bytes},
		}
	}
	put(artifact("a.mp4", 1, 0, 0))
	put(artifact("b.mp4", 2, 0, 0))
	put(artifact("c.mp4", 3, 0, 0))
	put(artifact("a.mp4", 1, 10, 100))
	put(artifact("a.mp4", 1, 12, 120)) // measured again
	put(artifact("a.mp4", 1, 0, 0))    // the opening, late
	artifacts, err := s.Artifacts(t.Context(), "one", 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "artifacts", artifacts, []skalds.Artifact{*artifact("c.mp4", 3, 0, 0).Artifact, *artifact("b.mp4", 2, 0, 0).Artifact, *artifact("a.mp4", 1, 12, 120).Artifact})
	artifacts, err = s.Artifacts(t.Context(), "one", 1)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the newest artifact", artifacts, []skalds.Artifact{*artifact("c.mp4", 3, 0, 0).Artifact})

	later := func(o skalds.Outcome, epoch int64, attempt int) skalds.Outcome {
		o.Epoch, o.Attempt = epoch, attempt
		return o
	}
	elsewhere := artifact("c.mp4", 3, 0, 0)
	elsewhere.Artifact.Node, elsewhere.Attempt = "other", 4
	put(elsewhere)                                  // a path of another node is another file
	put(later(artifact("b.mp4", 2, 20, 200), 1, 2)) // ended by what the next attempt found
	put(later(artifact("c.mp4", 3, 30, 300), 2, 1)) // by that of the next epoch
	put(later(artifact("c.mp4", 3, 31, 310), 1, 3)) // word of an older one, late
	artifacts, err = s.Artifacts(t.Context(), "one", 10)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "artifacts of several attempts", artifacts, []skalds.Artifact{
		*artifact("c.mp4", 3, 30, 300).Artifact, *elsewhere.Artifact, *artifact("b.mp4", 2, 20, 200).Artifact, *artifact("a.mp4", 1, 12, 120).Artifact,
	})

	stage := func(name string) skalds.Outcome {
		key := skalds.OutcomeKey{TaskID: "one", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeStage, Name: name}
		return skalds.Outcome{OutcomeKey: key, Value: json.RawMessage(`1`)}
	}
	many := []skalds.Outcome{
		exitOutcome("many", 1, 1, 0, ""), exitOutcome("many", 1, 1, 500, skalds.ExitSignal), exitOutcome("many", 1, 1, 0, ""),
		stage("a"), stage("a"), stage("b"), artifact("a.mp4", 1, 13, 130), exitOutcome("many", 1, 2, 0, ""), exitOutcome("many", 1, 2, 900, skalds.ExitOOM),
		exitOutcome("many", 1, 2, 950, skalds.ExitExit), exitOutcome("many", 1, 3, 0, ""),
	}
	for range 2 { // what was not answered is put again
		if err := s.PutOutcome(t.Context(), many...); err != nil {
			t.Fatalf("put many outcomes: %v", err)
		}
	}
	if got, err = s.Attempts(t.Context(), "many"); err != nil {
		t.Fatal(err)
	}
	same(t, "attempts of many at once", got, []skalds.Attempt{
		*exitOutcome("many", 1, 1, 500, skalds.ExitSignal).Exit, *exitOutcome("many", 1, 2, 900, skalds.ExitOOM).Exit, *exitOutcome("many", 1, 3, 0, "").Exit,
	})
	if artifacts, err = s.Artifacts(t.Context(), "one", 10); err != nil {
		t.Fatal(err)
	}
	same(t, "the artifact among many", artifacts[len(artifacts)-1], *artifact("a.mp4", 1, 13, 130).Artifact)
	if err := s.PutOutcome(t.Context()); err != nil {
		t.Errorf("no outcome at all: %v", err)
	}

	result := skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: "one", Epoch: 1, Attempt: 1, Kind: skalds.OutcomeResult}, Value: json.RawMessage(`{"n":1}`)}
	put(result)
	put(result)
	if err := s.PutOutcome(t.Context(), skalds.Outcome{OutcomeKey: skalds.OutcomeKey{TaskID: "one", Kind: skalds.OutcomeExit}}); !errors.Is(err, skalds.ErrInvalid) {
		t.Errorf("an exit without its attempt: %v, want invalid", err)
	}
}
