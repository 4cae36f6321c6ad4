package diagnosis

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"minicluster.internal/operator/pkg/agentapi/plan"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// Ends examines how containers of the pods of a Job ended. The pods are added one by one, and only a small part of each
// is kept.
type Ends struct {
	// flux is the name of the container that runs Flux.
	flux string
	// template describes the pods of the Job.
	template *corev1.PodSpec

	lead     *leadEnd
	sidecars []string
	more     int
	// kept are the names of pods whose Flux container has ended, with the containers that keep them running.
	kept map[string][]string
}

// leadEnd is a pod of the lead whose Flux container has ended with exit code 0.
type leadEnd struct {
	name  string
	phase corev1.PodPhase
	// own and added are the containers that have not ended: those of the template, and those that something else added.
	own, added []string
}

// NewEnds returns an Ends without pods. flux is the name of the container that runs Flux.
func NewEnds(flux string, template *corev1.PodSpec) *Ends {
	return &Ends{flux: flux, template: template, kept: map[string][]string{}}
}

// Add examines a pod.
func (e *Ends) Add(pod *corev1.Pod) {
	e.addSidecars(pod)
	end := terminatedState(pod, e.flux)
	if end == nil {
		return
	}
	own, added := e.running(pod)
	if index, ok := resources.PodIndex(pod); ok && index == 0 && end.ExitCode == 0 {
		e.lead = &leadEnd{name: pod.Name, phase: pod.Status.Phase, own: own, added: added}
	}
	if pod.Status.Phase == corev1.PodRunning && len(added) > 0 && len(e.kept) < maxKept {
		e.kept[pod.Name] = added
	}
}

// LeadSucceeded reports whether the Flux container of the lead has ended with exit code 0, whatever else happened.
func (e *Ends) LeadSucceeded() bool { return e.lead != nil }

// LeadFailed reports whether the pod of a lead that succeeded has failed, because of another container.
func (e *Ends) LeadFailed() bool { return e.lead != nil && e.lead.phase == corev1.PodFailed }

// LeadIsKept reports whether only containers that something else added keep the pod of a lead that succeeded.
func (e *Ends) LeadIsKept() bool {
	return e.lead != nil && e.lead.phase == corev1.PodRunning && len(e.lead.own) == 0 && len(e.lead.added) > 0
}

// KeptBy says which containers keep the pod of the lead running; "" if none do.
func (e *Ends) KeptBy() string {
	if !e.LeadIsKept() {
		return ""
	}
	return messages.KeptBy(e.lead.added, e.lead.name)
}

// Sidecars says which sidecars failed.
func (e *Ends) Sidecars() []string {
	if e.more == 0 {
		return e.sidecars
	}
	return append(slices.Clone(e.sidecars), messages.MoreSidecars(e.more))
}

// Explain adds to the problem of a pod whose Flux container has ended which containers keep it running.
func (e *Ends) Explain(p *Problem) *Problem {
	if p == nil || p.Pod == nil || len(e.kept[p.Pod.Name]) == 0 {
		return p
	}
	p.Text += "; " + messages.KeptBy(e.kept[p.Pod.Name], p.Pod.Name)
	return p
}

// maxSidecars is the number of failed sidecars that a message names.
const maxSidecars = 3

// addSidecars examines the sidecars of a pod. The agent lets the container of a sidecar end with 0, and reports the
// exit code as its termination message.
func (e *Ends) addSidecars(pod *corev1.Pod) {
	for _, container := range pod.Spec.Containers {
		t := terminatedState(pod, container.Name)
		if t == nil || container.Name == e.flux {
			continue
		}
		code := plan.SidecarCode(t.Message)
		if code == 0 && pod.DeletionTimestamp == nil {
			code = int(t.ExitCode)
		}
		switch {
		case code == 0:
		case len(e.sidecars) == maxSidecars:
			e.more++
		default:
			e.sidecars = append(e.sidecars, messages.SidecarFailed(container.Name, pod.Name, code))
		}
	}
}

// running returns the names of the containers of a pod that have not ended. Native sidecars do not count, because
// Kubernetes stops them.
func (e *Ends) running(pod *corev1.Pod) (own, added []string) {
	for _, container := range pod.Spec.Containers {
		switch {
		case terminatedState(pod, container.Name) != nil:
		case slices.ContainsFunc(e.template.Containers, func(c corev1.Container) bool { return c.Name == container.Name }):
			own = append(own, container.Name)
		default:
			added = append(added, container.Name)
		}
	}
	return own, added
}

func terminatedState(pod *corev1.Pod, container string) *corev1.ContainerStateTerminated {
	for i := range pod.Status.ContainerStatuses {
		if status := &pod.Status.ContainerStatuses[i]; status.Name == container {
			return status.State.Terminated
		}
	}
	return nil
}
