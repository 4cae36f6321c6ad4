package page

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// state is the state of a MiniCluster as the page shows it.
type state struct {
	// word is the type of a condition, or the reason why it is not ready.
	word string
	// tone is good, busy, bad or over.
	tone string
	// over is set if the MiniCluster has completed or failed.
	over bool
	// notes explain what it waits for, which requests were rejected and which values are unknown.
	notes []string
}

// Tones of a state, which are CSS classes.
const (
	toneGood = "good"
	toneBusy = "busy"
	toneBad  = "bad"
	toneOver = "over"
)

func stateOf(mc *v1alpha2.MiniCluster) state {
	of := func(kind string) *metav1.Condition {
		if c := meta.FindStatusCondition(mc.Status.Conditions, kind); c != nil {
			return c
		}
		return &metav1.Condition{}
	}
	is := func(kind string) bool { return of(kind).Status == metav1.ConditionTrue }
	s := state{word: "Starting", tone: toneBusy}
	switch accepted, ready := of(v1alpha2.ConditionAccepted), of(v1alpha2.ConditionReady); {
	case mc.DeletionTimestamp != nil:
		s.word = "Deleting"
	case is(v1alpha2.ConditionFailed):
		s.word, s.tone, s.over = v1alpha2.ConditionFailed, toneBad, true
		s.note(of(v1alpha2.ConditionFailed).Message)
		return s
	case is(v1alpha2.ConditionComplete):
		s.word, s.tone, s.over = v1alpha2.ConditionComplete, toneOver, true
		return s
	case accepted.Status == metav1.ConditionFalse:
		s.word, s.tone = "Not accepted", toneBad
		s.note(accepted.Message)
	case is(v1alpha2.ConditionSuspended):
		s.word, s.tone = v1alpha2.ConditionSuspended, toneOver
	case is(v1alpha2.ConditionReady):
		s.word, s.tone = v1alpha2.ConditionReady, toneGood
	case ready.Reason != "":
		s.word = ready.Reason
	}
	if is(v1alpha2.ConditionProgressing) {
		s.note(of(v1alpha2.ConditionProgressing).Message)
	}
	if is(v1alpha2.ConditionScalingLimited) {
		s.note(of(v1alpha2.ConditionScalingLimited).Message)
	}
	return s
}

func (s *state) note(text string) {
	if text != "" {
		s.notes = append(s.notes, cut(text))
	}
}
