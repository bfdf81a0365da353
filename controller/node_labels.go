package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skalds-go/skalds"
)

// Bounds of the labels that people give to a node.
const (
	maxNodeLabels = 64
	maxLabelBytes = 256 // of a name or a value
)

// SetLabels gives a node labels, which win over those that its host announces. With replace they are all that it is given;
// without, those not named stay, and nil takes one away, so that what its host announces counts again. Tasks that are on it stay
// there, whatever their constraints say.
func (s *NodeService) SetLabels(ctx context.Context, id string, labels map[string]*string, replace bool, who string) (NodeView, error) {
	v, ok := s.cluster.view(id)
	if !ok {
		return NodeView{}, unknownNode(id)
	}
	if err := checkLabels(labels, len(givenLabels(v.Labels, labels, replace))); err != nil {
		return NodeView{}, err
	}
	entry := AuditEntry{Who: who, Action: "label"}
	err := s.amend(ctx, id, &entry, func(n *skalds.Node) {
		after := givenLabels(n.Labels, labels, replace)
		entry.Before, entry.After = labelsJSON(n.Labels), labelsJSON(after)
		n.Labels = after
	})
	if err != nil {
		return NodeView{}, err
	}
	s.tasks.dispatcher.freed()
	return s.Node(ctx, id)
}

// givenLabels is what a node is given after a change; before stays as it is.
func givenLabels(before map[string]string, change map[string]*string, replace bool) map[string]string {
	after := map[string]string{}
	if !replace {
		maps.Copy(after, before)
	}
	for k, v := range change {
		if v == nil {
			delete(after, k)
		} else {
			after[k] = *v
		}
	}
	return after
}

func labelsJSON(labels map[string]string) json.RawMessage {
	b, err := json.Marshal(map[string]any{"labels": labels})
	if err != nil {
		return nil
	}
	return b
}

// checkLabels names every fault of labels at once; count is how many the node will have.
func checkLabels(labels map[string]*string, count int) error {
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v := labels[k]
		field := "labels." + k
		if len(k) > maxLabelBytes {
			field = "labels." + strings.ToValidUTF8(k[:maxLabelBytes], "") + "…"
		}
		switch {
		case k == "" || strings.ContainsAny(k, "=!, \t\r\n"):
			errs = append(errs, skalds.Field(field, "is no name of a label: it must have a character, and no =, !, comma or space"))
		case len(k) > maxLabelBytes || v != nil && len(*v) > maxLabelBytes:
			errs = append(errs, skalds.Field(field, fmt.Sprintf("has more than the %d bytes that a name or a value may have", maxLabelBytes)))
		case v != nil && (strings.TrimSpace(*v) != *v || *v == "" || strings.ContainsAny(*v, "=\r\n")):
			errs = append(errs, skalds.Field(field, "must have a value without = and without spaces around it; null takes the label away"))
		}
	}
	if count > maxNodeLabels {
		errs = append(errs, skalds.Field("labels", fmt.Sprintf("%d are more than the %d that a node may be given", count, maxNodeLabels)))
	}
	return skalds.Invalid("the labels do not fit", errors.Join(errs...))
}
