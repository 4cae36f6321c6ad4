package controller

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// minorIndexLabel is the first minor version of Kubernetes whose pods have their index as a label.
const minorIndexLabel = 28

// leadSelector selects the pods of the lead brokers of all MiniClusters: the readiness of a lead says whether its
// cluster works, and a Job only counts ready pods.
var leadSelector = v1alpha2.LabelHPASelector + "," + batchv1.JobCompletionIndexAnnotation + "=0"

// leadsByCluster is the name of an index of pods by MiniCluster.
const leadsByCluster = "miniCluster"

// leadIndexers index the pods of lead brokers by the key of their MiniCluster.
func leadIndexers() cache.Indexers {
	return cache.Indexers{leadsByCluster: func(obj any) ([]string, error) {
		return []string{leadKey(obj).String()}, nil
	}}
}

// leadKey returns the key of the MiniCluster that a pod belongs to by its label.
func leadKey(obj any) cache.ObjectName {
	o := object(obj)
	if o == nil {
		return cache.ObjectName{}
	}
	return cache.NewObjectName(o.GetNamespace(), o.GetLabels()[v1alpha2.LabelHPASelector])
}

// leadOnly keeps the parts of a pod that the controller reads: a cluster has one pod of a lead for its whole life.
func leadOnly(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	lead := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion, DeletionTimestamp: pod.DeletionTimestamp,
			OwnerReferences: pod.OwnerReferences, Labels: pod.Labels,
			Annotations: map[string]string{batchv1.JobCompletionIndexAnnotation: pod.Annotations[batchv1.JobCompletionIndexAnnotation]},
		},
		Status: corev1.PodStatus{Phase: pod.Status.Phase, PodIP: pod.Status.PodIP, Conditions: readyOnly(pod.Status.Conditions)},
	}
	shareTexts(lead)
	resources.CopyLeadPlacement(lead, pod)
	return lead, nil
}

func readyOnly(conditions []corev1.PodCondition) []corev1.PodCondition {
	for _, c := range conditions {
		if c.Type == corev1.PodReady {
			return []corev1.PodCondition{{Type: c.Type, Status: c.Status}}
		}
	}
	return nil
}

// wakeCluster enqueues the MiniCluster that a pod belongs to by its label.
func (c *Controller) wakeCluster(obj any) {
	if key := leadKey(obj); key.Name != "" {
		c.enqueue(key)
	}
}

// leadHandler enqueues the MiniCluster of a lead broker when something changes that its status or a request to its
// agent depends on.
func (c *Controller) leadHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if stateOfLead(obj) != (leadState{}) {
				c.wakeCluster(obj)
			}
		},
		UpdateFunc: func(before, after any) {
			if stateOfLead(before) != stateOfLead(after) {
				c.wakeCluster(after)
			}
		},
		DeleteFunc: c.wakeCluster,
	}
}

// leadState is what the controller reads of the pod of a lead broker.
type leadState struct {
	running, ready bool
	ip             string
}

func stateOfLead(obj any) leadState {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
		return leadState{}
	}
	return leadState{running: true, ready: resources.PodReady(pod), ip: pod.Status.PodIP}
}

// loadLead reads the pod of the lead broker from the cache; nil if there is none that runs or is to run. Pods of
// servers before Kubernetes 1.28 lack the label by which the cache selects.
func (c *Controller) loadLead(s *syncState) error {
	if s.job == nil || !c.environment.AtLeast(minorIndexLabel) {
		return nil
	}
	pods, err := c.cached(s.key.Namespace).leads.ByIndex(leadsByCluster, s.key.String())
	if err != nil {
		return fmt.Errorf("reading the pod of the lead broker from the cache: %w", err)
	}
	for _, obj := range pods {
		pod := obj.(*corev1.Pod)
		live := pod.DeletionTimestamp == nil && (pod.Status.Phase == corev1.PodRunning || pod.Status.Phase == corev1.PodPending)
		if live && metav1.IsControlledBy(pod, s.job) {
			s.lead = pod
		}
	}
	if s.lead != nil && !resources.LeadPlaced(s.lead) {
		s.observed.MisplacedLead = s.lead.Name
	}
	return nil
}

// leadReady reports whether the lead broker has its quorum and runs, as its readiness probe says; nil if that is
// unknown: the server has no cache of leads, the pods have no agent, or the lead is in another cluster.
func (c *Controller) leadReady(s *syncState) *bool {
	switch {
	case s.job == nil, !c.environment.AtLeast(minorIndexLabel), resources.ControlPort(s.job) == 0, resources.LeadElsewhere(s.mc):
		return nil
	case s.lead == nil && resources.AllReady(s.job):
		return nil // the cache has not seen the lead yet
	}
	return new(s.lead != nil && resources.PodReady(s.lead))
}
