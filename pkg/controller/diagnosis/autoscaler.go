package diagnosis

import (
	"slices"
	"time"

	eventsv1 "k8s.io/api/events/v1"

	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// reportAge is the age from which reports of node autoscalers are ignored. Both wait so long for a node by default.
const reportAge = 15 * time.Minute

// autoscalerReasons are the reasons of events of node autoscalers about pods that fit no node, by their components. The
// value is whether a node will be provided.
func autoscalerReasons() map[string]map[string]bool {
	return map[string]map[string]bool{
		"karpenter":          {"Nominated": true, "FailedScheduling": false},
		"cluster-autoscaler": {"TriggeredScaleUp": true, "NotTriggerScaleUp": false},
	}
}

// WithAutoscaler adds the last report of a node autoscaler to the problem of a pod that fits no node, given the events
// of the pod. Without such an event, it returns the problem unchanged.
func WithAutoscaler(p *Problem, events []eventsv1.Event, now time.Time) *Problem {
	events = slices.DeleteFunc(slices.Clone(events), func(e eventsv1.Event) bool {
		_, known := autoscalerReasons()[componentOf(&e)][e.Reason]
		return !known || e.Regarding.Name != p.Pod.Name || now.Sub(timeOf(&e)) > reportAge
	})
	if len(events) == 0 {
		return p
	}
	last := slices.MaxFunc(events, func(a, b eventsv1.Event) int { return timeOf(&a).Compare(timeOf(&b)) })
	component, report := componentOf(&last), resources.Quote(last.Note)
	reported := *p
	if autoscalerReasons()[component][last.Reason] {
		reported.NodeComing = true
		reported.Text = messages.NodeComing(p.Pod.Name, component, report)
	} else {
		reported.Text = messages.AutoscalerReports(p.Text, component, report)
	}
	return &reported
}

// componentOf returns the program that reported an event. Programs that use the older API have no controller.
func componentOf(e *eventsv1.Event) string {
	if e.ReportingController != "" {
		return e.ReportingController
	}
	return e.DeprecatedSource.Component
}

// timeOf returns when an event was last reported.
func timeOf(e *eventsv1.Event) time.Time {
	last := e.EventTime.Time
	for _, other := range []time.Time{e.CreationTimestamp.Time, e.DeprecatedLastTimestamp.Time} {
		if other.After(last) {
			last = other
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last
}
