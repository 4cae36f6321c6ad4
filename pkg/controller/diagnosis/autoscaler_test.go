package diagnosis

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

func TestWithAutoscaler(t *testing.T) {
	event := func(component, reason, note string, age time.Duration) eventsv1.Event {
		return eventsv1.Event{
			Regarding: corev1.ObjectReference{Name: "flux-sample-2-abcde"}, Reason: reason, Note: note,
			DeprecatedSource: corev1.EventSource{Component: component}, DeprecatedLastTimestamp: metav1.NewTime(examined.Add(-age)),
		}
	}
	nominated := event("karpenter", "Nominated", "Pod should schedule on: nodeclaim/default-x", 3*time.Second)
	ofOther := nominated
	ofOther.Regarding.Name = "flux-sample-3-abcde"
	modern := eventsv1.Event{
		Regarding: nominated.Regarding, Reason: "TriggeredScaleUp", Note: "pod triggered scale-up: [{g 1->2 (max: 9)}]",
		ReportingController: "cluster-autoscaler", EventTime: metav1.NewMicroTime(examined.Add(-time.Hour)),
		Series: &eventsv1.EventSeries{LastObservedTime: metav1.NewMicroTime(examined)},
	}
	const fits = "pod flux-sample-2-abcde fits no node: 0/4 nodes are available; add nodes, request fewer resources, or lower spec.size"
	for name, tc := range map[string]struct {
		events []eventsv1.Event
		want   string
		coming bool
	}{
		"none":             {nil, fits, false},
		"of the scheduler": {[]eventsv1.Event{event("default-scheduler", "FailedScheduling", "0/4 nodes are available", 0)}, fits, false},
		"another reason":   {[]eventsv1.Event{event("karpenter", "Evicted", "Evicted pod", 0)}, fits, false},
		"another pod":      {[]eventsv1.Event{ofOther}, fits, false},
		"too old":          {[]eventsv1.Event{event("karpenter", "Nominated", "Pod should schedule on: nodeclaim/a", time.Hour)}, fits, false},
		"nominated": {
			[]eventsv1.Event{event("karpenter", "FailedScheduling", "no", time.Minute), nominated},
			"pod flux-sample-2-abcde waits for a new node; karpenter reports: Pod should schedule on: nodeclaim/default-x", true,
		},
		"no machine": {
			[]eventsv1.Event{nominated, event("karpenter", "FailedScheduling", "Failed to schedule pod, no instance type satisfied resources", 0)},
			fits + "; karpenter reports: Failed to schedule pod, no instance type satisfied resources", false,
		},
		"no group": {
			[]eventsv1.Event{event("cluster-autoscaler", "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached", 0)},
			fits + "; cluster-autoscaler reports: pod didn't trigger scale-up: 1 max node group size reached", false,
		},
		"a group grows": {
			[]eventsv1.Event{modern, nominated},
			"pod flux-sample-2-abcde waits for a new node; cluster-autoscaler reports: pod triggered scale-up: [{g 1->2 (max: 9)}]", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			pods := NewPods("flux-sample", 4, examined)
			pods.Add(new(aPod(2, unplaced, setCondition(corev1.PodCondition{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/4 nodes are available",
			}))))
			p := pods.Worst()
			require.NotNil(t, p.Pod)
			got := WithAutoscaler(p, tc.events, examined)
			assert.Equal(t, v1alpha2.ReasonUnschedulable, got.Reason)
			assert.Equal(t, tc.want, got.Message())
			assert.Equal(t, !tc.coming, got.Actionable())
		})
	}
}

// A gate is not a lack of nodes, so its events are not read.
func TestGatedPodIsNotKept(t *testing.T) {
	pods := NewPods("flux-sample", 4, examined)
	pods.Add(new(aPod(0, unplaced, func(pod *corev1.Pod) { pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a.b/c"}} })))
	assert.Nil(t, pods.Worst().Pod)
}
