package controller

import "github.com/skalds-go/skalds"

// OutcomeContent is what a store keeps of an outcome beside its key: what was said, when the attempt or artifact began, and when it
// ended, in milliseconds; ended is 0 while it is open, and 1 for what has no times. An outcome whose kind and content do not fit is
// refused (skalds.CodeInvalid).
func OutcomeContent(o skalds.Outcome) (said any, began, ended int64, err error) {
	switch {
	case o.Kind == skalds.OutcomeExit && o.Exit != nil:
		return o.Exit, o.Exit.StartedAt, o.Exit.EndedAt, nil
	case o.Kind == skalds.OutcomeArtifact && o.Artifact != nil:
		return o.Artifact, o.Artifact.StartedAt, o.Artifact.EndedAt, nil
	case o.Kind == skalds.OutcomeResult || o.Kind == skalds.OutcomeStage:
		return o.Value, 0, 1, nil
	}
	return nil, 0, 0, skalds.Errorf(skalds.CodeInvalid, "keep an outcome of task %q: its kind %q and its content do not fit", o.TaskID, o.Kind)
}
