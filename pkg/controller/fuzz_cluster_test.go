package controller

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
	"minicluster.internal/operator/test/framework/sample"
)

// collectGarbage runs one round of the garbage collector.
func (w *world) collectGarbage() {
	alive := map[types.UID]bool{}
	for _, objects := range w.objects {
		for _, o := range objects {
			alive[o.GetUID()] = true
		}
	}
	for _, r := range []cachedResource{jobs, configmaps, services, secrets, podObjects, persistentVolumeClaims} {
		for _, o := range w.all(r) {
			refs := o.GetOwnerReferences()
			left := slices.DeleteFunc(slices.Clone(refs), func(ref metav1.OwnerReference) bool { return !alive[ref.UID] })
			switch {
			case len(left) == len(refs):
			case len(left) > 0:
				edit(w, r, o.GetName(), func(o apiObject) { o.SetOwnerReferences(left) })
			case r == podObjects:
				w.terminate(o.GetName())
			default:
				w.remove(r, o.GetName())
			}
		}
	}
}

// terminate requests the deletion of a pod; the kubelet completes it.
func (w *world) terminate(pod string) {
	edit(w, podObjects, pod, func(p *corev1.Pod) {
		if p.DeletionTimestamp == nil {
			p.DeletionTimestamp = &metav1.Time{}
		}
	})
}

// runPods simulates the kubelet: pods become ready, and terminating pods end.
func (w *world) runPods(stop bool) {
	for _, o := range w.all(podObjects) {
		pod := o.(*corev1.Pod)
		switch {
		case pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodPending:
			edit(w, podObjects, pod.Name, func(p *corev1.Pod) {
				p.Status.Phase, p.Status.PodIP = corev1.PodRunning, "10.0.0.1"
				p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			})
		case pod.DeletionTimestamp != nil && stop:
			w.remove(podObjects, pod.Name)
		}
	}
}

// runJobs runs one round of the Job controller.
func (w *world) runJobs() {
	for _, o := range w.all(jobs) {
		w.runJob(o.(*batchv1.Job))
	}
}

func (w *world) runJob(job *batchv1.Job) {
	mine := w.podsOf(job)
	ended := resources.FinishedCondition(job) != nil || resources.Suspended(job)
	held := map[int32]bool{}
	var active, ready, terminating, kept int32
	for _, pod := range mine {
		index, _ := resources.PodIndex(pod)
		switch {
		case pod.DeletionTimestamp != nil:
		case ended, index >= resources.Completions(job), kept >= resources.Parallelism(job):
			w.terminate(pod.Name)
		default:
			kept++
		}
	}
	mine = w.podsOf(job)
	waits := ptr.Deref(job.Spec.PodReplacementPolicy, "") == batchv1.Failed
	for _, pod := range mine {
		index, _ := resources.PodIndex(pod)
		if pod.DeletionTimestamp == nil || waits {
			held[index] = true
		}
	}
	for i := int32(0); !ended && i < resources.Completions(job) && kept < resources.Parallelism(job); i++ {
		if !held[i] {
			w.makePod(job, i)
			kept++
		}
	}
	var first string
	for _, pod := range w.podsOf(job) {
		switch {
		case pod.DeletionTimestamp != nil:
			terminating++
		case pod.Status.Phase == corev1.PodSucceeded:
			if index, _ := resources.PodIndex(pod); index == 0 {
				first = "0"
			}
		default:
			active++
			if pod.Status.Phase == corev1.PodRunning {
				ready++
			}
		}
	}
	edit(w, jobs, job.Name, func(j *batchv1.Job) {
		j.Status.Active, j.Status.Ready, j.Status.Terminating = active, &ready, &terminating
		switch {
		case resources.FinishedCondition(j) != nil:
		case first != "" && j.Spec.SuccessPolicy != nil, first != "" && resources.Completions(j) == 1:
			sample.EndedJob(batchv1.JobComplete, "", "")(j)
		case first != "":
			j.Status.CompletedIndexes = first
		}
	})
}

func (w *world) podsOf(job *batchv1.Job) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, o := range w.all(podObjects) {
		if metav1.IsControlledBy(o, job) {
			pods = append(pods, o.(*corev1.Pod))
		}
	}
	return pods
}

func (w *world) makePod(job *batchv1.Job, index int32) {
	w.uids++
	labels := maps.Clone(job.Spec.Template.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[batchv1.JobCompletionIndexAnnotation] = strconv.Itoa(int(index))
	labels[batchv1.JobNameLabel], labels[batchv1.ControllerUidLabel] = job.Name, string(job.UID)
	_, _ = w.create(podObjects, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%d-%05d", job.Name, index, w.uids), Namespace: job.Namespace, Labels: labels,
			Annotations:     map[string]string{batchv1.JobCompletionIndexAnnotation: strconv.Itoa(int(index))},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending},
	})
}

// deleteJob deletes a Job; its pods are deleted with it or become orphans.
func (w *world) deleteJob(name string, orphan bool) {
	job, ok := w.objects[jobs][name].(*batchv1.Job)
	if !ok {
		return
	}
	pods := w.podsOf(job)
	w.remove(jobs, name)
	if !orphan {
		return // the garbage collector deletes the pods
	}
	for _, pod := range pods {
		edit(w, podObjects, pod.Name, func(p *corev1.Pod) { p.OwnerReferences = nil })
	}
}

// endPod makes the pod of index 0 succeed, if it runs.
func (w *world) endPod(job string) {
	for _, o := range w.all(podObjects) {
		pod := o.(*corev1.Pod)
		if index, ok := resources.PodIndex(pod); ok && index == 0 && pod.Labels[batchv1.JobNameLabel] == job && pod.DeletionTimestamp == nil {
			edit(w, podObjects, pod.Name, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
		}
	}
}

// makeIncumbent creates a Job as another operator does for a MiniCluster.
func (w *world) makeIncumbent(mc *v1alpha2.MiniCluster, size int32) {
	_, _ = w.create(jobs, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: mc.Name, Namespace: mc.Namespace, OwnerReferences: []metav1.OwnerReference{*resources.ControllerReference(mc)}},
		Spec: batchv1.JobSpec{
			CompletionMode: new(batchv1.IndexedCompletion), Parallelism: &size, Completions: &size, PodReplacementPolicy: new(batchv1.TerminatingOrFailed),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha2.LabelHPASelector: mc.Name}}},
		},
	})
}
