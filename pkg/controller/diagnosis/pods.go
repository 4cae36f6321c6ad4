package diagnosis

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Pods examines the pods of a Job. They are added one by one, and only a small part of each is kept.
type Pods struct {
	// flux is the name of the container that runs Flux.
	flux string
	// size is the desired number of indexes.
	size    int32
	now     time.Time
	indexes map[int32]*indexState
	kept    int
}

// NewPods returns a Pods without pods. flux is the name of the container that runs Flux, size the number of indexes.
func NewPods(flux string, size int32, now time.Time) *Pods {
	return &Pods{flux: flux, size: size, now: now, indexes: map[int32]*indexState{}}
}

// indexState is the state of the pods of one index.
type indexState struct {
	// ready: one of the pods is ready, so the index has no problem.
	ready bool
	// live: one of the pods has neither ended nor started to terminate.
	live bool
	// own is the first problem of a pod that has not ended.
	own *Problem
	// failed is the number of failed pods, last the problem of the one that ended last, at the time end.
	failed int
	last   *Problem
	end    time.Time
}

// Add examines a pod.
func (e *Pods) Add(pod *corev1.Pod) {
	index, ok := resources.PodIndex(pod)
	if !ok || pod.Status.Phase == corev1.PodSucceeded {
		return
	}
	state := e.indexes[index]
	if state == nil {
		state = &indexState{}
		e.indexes[index] = state
	}
	switch {
	case state.ready:
	case pod.Status.Phase == corev1.PodFailed:
		e.addFailed(state, pod)
	case pod.DeletionTimestamp == nil && podReady(pod):
		*state = indexState{ready: true}
	default:
		state.live = state.live || pod.DeletionTimestamp == nil
		if state.own == nil {
			state.own = e.identified(e.ofPod(pod))
		}
	}
}

func (e *Pods) addFailed(state *indexState, pod *corev1.Pod) {
	state.failed++
	if end := endOf(pod); state.last == nil || end.After(state.end) {
		state.end = end
		state.last = e.identified(&Problem{Reason: v1alpha2.ReasonPodsFailing, Text: nameOf(pod) + " " + describeEnd(pod, e.flux), Pod: pod})
	}
}

// maxKept is the number of pods that are kept in addition to that of the lead.
const maxKept = 100

// identified reduces the pod of a problem to what further checks need, and drops it if there are none for the reason.
func (e *Pods) identified(p *Problem) *Problem {
	if p == nil {
		return nil
	}
	pod := p.Pod
	p.Pod = nil
	switch p.Reason {
	case v1alpha2.ReasonNotMounted, v1alpha2.ReasonPodsFailing, v1alpha2.ReasonBrokerOffline:
	case v1alpha2.ReasonUnschedulable:
		if len(pod.Spec.SchedulingGates) > 0 {
			return p
		}
	default:
		return p
	}
	if index, _ := resources.PodIndex(pod); index != 0 {
		if e.kept >= maxKept {
			return p
		}
		e.kept++
	}
	p.Pod = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels},
		Status:     corev1.PodStatus{PodIP: pod.Status.PodIP},
	}
	return p
}

// Worst returns the most severe problem, nil if no pod has one. If several pods have the same problem, it returns
// that of the lowest index: the other pods wait for the lead.
func (e *Pods) Worst() *Problem {
	var found []Problem
	for _, index := range slices.Sorted(maps.Keys(e.indexes)) {
		if p := e.ofIndex(index, e.indexes[index]); p != nil {
			found = append(found, *p)
		}
	}
	if len(found) == 0 {
		return nil
	}
	worst := slices.MaxFunc(found, func(a, b Problem) int { return cmp.Compare(Severity(a.Reason), Severity(b.Reason)) })
	for i := range found {
		if found[i].Reason == worst.Reason {
			worst.Others++
		}
	}
	worst.Others--
	return &worst
}

// ofIndex returns the problem of one index. Failed pods are a problem until a new pod replaces them, or if they fail
// repeatedly.
func (e *Pods) ofIndex(index int32, state *indexState) *Problem {
	own := state.own
	if index >= e.size || state.failed == 0 || (state.live && state.failed < 2) {
		return own
	}
	if own != nil && Severity(own.Reason) > Severity(v1alpha2.ReasonPodsFailing) {
		return own
	}
	p := *state.last
	p.Text = messages.PodFailing(p.Text, state.failed-1, state.live)
	return &p
}
