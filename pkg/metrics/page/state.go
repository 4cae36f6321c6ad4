package page

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
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
	// problem is set if a user may have to act.
	problem bool
	// autoscaler is what the autoscaler of spec.autoscaling does, "" if there is none.
	autoscaler string
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
	s.addAutoscaler(of(v1alpha2.ConditionAutoscaling))
	switch accepted, ready := of(v1alpha2.ConditionAccepted), of(v1alpha2.ConditionReady); {
	case mc.DeletionTimestamp != nil:
		s.word = "Deleting"
	case is(v1alpha2.ConditionFailed):
		s.word, s.tone, s.over, s.problem = v1alpha2.ConditionFailed, toneBad, true, true
		s.note(of(v1alpha2.ConditionFailed).Message)
		return s
	case is(v1alpha2.ConditionComplete):
		s.word, s.tone, s.over = v1alpha2.ConditionComplete, toneOver, true
		s.problem = false
		return s
	case accepted.Status == metav1.ConditionFalse:
		s.word, s.tone, s.problem = "Not accepted", toneBad, true
		s.note(accepted.Message)
	case is(v1alpha2.ConditionHibernated):
		s.word, s.tone = v1alpha2.ConditionHibernated, toneOver
	case is(v1alpha2.ConditionSuspended):
		s.word, s.tone = v1alpha2.ConditionSuspended, toneOver
	case is(v1alpha2.ConditionReady):
		s.word, s.tone = v1alpha2.ConditionReady, toneGood
	case ready.Reason != "":
		s.word = ready.Reason
	}
	if is(v1alpha2.ConditionStalled) && s.tone != toneBad {
		s.tone, s.problem = toneBad, true
		s.note(of(v1alpha2.ConditionStalled).Message)
	}
	if is(v1alpha2.ConditionProgressing) {
		s.note(of(v1alpha2.ConditionProgressing).Message)
	}
	if is(v1alpha2.ConditionScalingLimited) {
		s.problem = true
		s.note(of(v1alpha2.ConditionScalingLimited).Message)
	}
	if c := of(v1alpha2.ConditionAutoscaling); c.Status == metav1.ConditionFalse {
		s.note(c.Message)
	}
	if requestsNothing(mc) {
		s.problem = true
		s.note("Its pods request neither CPU nor memory, so they count as if they used nothing.")
	}
	return s
}

// Words for what an autoscaler does.
const (
	autoscalerActive   = "active"
	autoscalerPending  = "pending"
	autoscalerInactive = "inactive"
	autoscalerOther    = "other"
)

func (s *state) addAutoscaler(c *metav1.Condition) {
	switch {
	case c.Status == metav1.ConditionTrue:
		s.autoscaler = autoscalerActive
	case c.Reason == v1alpha2.ReasonAutoscalerPending:
		s.autoscaler = autoscalerPending
	case c.Reason == v1alpha2.ReasonOtherAutoscaler:
		s.autoscaler = autoscalerOther
	case c.Status == metav1.ConditionFalse:
		s.autoscaler, s.problem = autoscalerInactive, true
	}
}

// requestsNothing reports whether the pods of an opportunistic MiniCluster have no requests of CPU and memory.
func requestsNothing(mc *v1alpha2.MiniCluster) bool {
	if mc.Spec.Opportunistic == nil {
		return false
	}
	for i := range mc.Spec.Containers {
		r := mc.Spec.Containers[i].Resources
		if r == nil {
			continue
		}
		for _, list := range []corev1.ResourceList{r.Requests, r.Limits} {
			if !list.Cpu().IsZero() || !list.Memory().IsZero() {
				return false
			}
		}
	}
	return true
}

// severity orders states, the most severe one first.
func (s *state) severity() int {
	switch {
	case s.tone == toneBad:
		return 0
	case s.problem:
		return 1
	case s.tone == toneBusy:
		return 2
	case s.tone == toneGood:
		return 3
	default:
		return 4
	}
}

// maxShort is the number of characters of a short reason.
const maxShort = 80

// short returns the first note, shortened, and all notes if that is not everything.
func (s *state) short() (text string, all []string) {
	if len(s.notes) == 0 {
		return "", nil
	}
	text = s.notes[0]
	if runes := []rune(text); len(runes) > maxShort {
		text = string(runes[:maxShort])
		if space := strings.LastIndexByte(text, ' '); space > 0 {
			text = text[:space]
		}
		text += " …"
	}
	if text == s.notes[0] && len(s.notes) == 1 {
		return text, nil
	}
	return text, s.notes
}

func (s *state) note(text string) {
	if text != "" {
		s.notes = append(s.notes, cut(text))
	}
}
