package capacity

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
)

// list returns a resource list from pairs of name and quantity.
func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

func container(name string, requests ...string) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: list(requests...)}}
}

func sidecar(name string, requests ...string) corev1.Container {
	c := container(name, requests...)
	c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	return c
}

func TestPodRequests(t *testing.T) {
	const gpu = "nvidia.com/gpu"
	resized := func(allocated, actual string, conditions ...corev1.PodCondition) corev1.Pod {
		return corev1.Pod{
			Spec: corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu", "2")}},
			Status: corev1.PodStatus{
				Conditions: conditions,
				ContainerStatuses: []corev1.ContainerStatus{{
					Name: "a", AllocatedResources: list("cpu", allocated),
					Resources: &corev1.ResourceRequirements{Requests: list("cpu", actual)},
				}},
			},
		}
	}
	for name, test := range map[string]struct {
		pod  corev1.Pod
		want Resources
	}{
		"no requests": {
			pod:  corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container("a")}}},
			want: Resources{Pods: 1},
		},
		"the sum of the containers": {
			pod: corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{
				container("a", "cpu", "1500m", "memory", "1Gi", gpu, "1"), container("b", "cpu", "1", gpu, "1", "ephemeral-storage", "1Ki"),
			}}},
			want: Resources{CPU: 2500, Memory: 1 << 30, Pods: 1, Other: map[corev1.ResourceName]int64{gpu: 2, corev1.ResourceEphemeralStorage: 1024}},
		},
		"a fraction of a unit is rounded up": {
			pod:  corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container("a", "cpu", "100u", "memory", "1500m")}}},
			want: Resources{CPU: 1, Memory: 2, Pods: 1},
		},
		"the largest init container, if larger": {
			pod: corev1.Pod{Spec: corev1.PodSpec{
				InitContainers: []corev1.Container{container("i", "cpu", "3", "memory", "1Mi"), container("j", "cpu", "1")},
				Containers:     []corev1.Container{container("a", "cpu", "1", "memory", "2Mi"), container("b", "cpu", "1")},
			}},
			want: Resources{CPU: 3000, Memory: 2 << 20, Pods: 1},
		},
		"native sidecars with the containers": {
			pod: corev1.Pod{Spec: corev1.PodSpec{
				InitContainers: []corev1.Container{sidecar("s", "cpu", "1"), container("i", "cpu", "1")},
				Containers:     []corev1.Container{container("a", "cpu", "2")},
			}},
			want: Resources{CPU: 3000, Pods: 1},
		},
		"native sidecars with the init containers after them": {
			pod: corev1.Pod{Spec: corev1.PodSpec{
				InitContainers: []corev1.Container{container("i", "cpu", "5"), sidecar("s", "cpu", "1"), container("j", "cpu", "5")},
				Containers:     []corev1.Container{container("a", "cpu", "2")},
			}},
			want: Resources{CPU: 6000, Pods: 1},
		},
		"overhead": {
			pod: corev1.Pod{Spec: corev1.PodSpec{
				Overhead: list("cpu", "250m", "memory", "64Mi"), Containers: []corev1.Container{container("a", "cpu", "1")},
			}},
			want: Resources{CPU: 1250, Memory: 64 << 20, Pods: 1},
		},
		"requests of the pod": {
			pod: corev1.Pod{Spec: corev1.PodSpec{
				Resources:  &corev1.ResourceRequirements{Requests: list("cpu", "4")},
				Containers: []corev1.Container{container("a", "cpu", "1", "memory", "1Mi", gpu, "1")},
			}},
			want: Resources{CPU: 4000, Memory: 1 << 20, Pods: 1, Other: map[corev1.ResourceName]int64{gpu: 1}},
		},
		"growing in place: the new requests":         {pod: resized("1", "1"), want: Resources{CPU: 2000, Pods: 1}},
		"shrinking in place: the current requests":   {pod: resized("3", "4"), want: Resources{CPU: 4000, Pods: 1}},
		"shrinking in place: the allocated requests": {pod: resized("3", "1"), want: Resources{CPU: 3000, Pods: 1}},
		"an infeasible resize: the current requests": {
			pod: resized("1", "1", corev1.PodCondition{
				Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible,
			}),
			want: Resources{CPU: 1000, Pods: 1},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, podRequests(&test.pod)) })
	}
}

func TestNewPod(t *testing.T) {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "p", UID: "u", ResourceVersion: "7",
			Labels: map[string]string{"much": "text", v1alpha2.LabelHPASelector: "m"},
			OwnerReferences: []metav1.OwnerReference{
				{Kind: "MiniCluster", Name: "other"},
				{Kind: "Job", Name: "m", Controller: new(true)},
			},
			Annotations: map[string]string{"more": "text"},
		},
		Spec: corev1.PodSpec{
			Priority:   new(int32(-5)),
			Containers: []corev1.Container{container("a", "cpu", "1")},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending, NominatedNodeName: "n"},
	}
	p := newPodRecord(&pod)
	assert.Equal(t, metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u", ResourceVersion: "7"}, p.ObjectMeta)
	assert.Equal(t, "m", p.Job)
	assert.True(t, p.Elastic)
	assert.EqualValues(t, -5, p.Priority)
	require.NotNil(t, p.Placement)
	assert.Equal(t, "n", p.Placement.Nominated)
	assert.False(t, p.Placement.Gated)

	pod.Spec.NodeName = "n"
	pod.OwnerReferences[1].Kind = "ReplicaSet"
	bound := newPodRecord(&pod)
	assert.Equal(t, "n", bound.Node)
	assert.Empty(t, bound.Job, "only pods of Jobs are counted together")
	assert.Nil(t, bound.Placement, "a bound pod keeps its node")

	for phase, holds := range map[corev1.PodPhase]bool{
		corev1.PodPending: true, corev1.PodRunning: true, corev1.PodUnknown: true, corev1.PodSucceeded: false, corev1.PodFailed: false,
	} {
		pod.Status.Phase = phase
		assert.Equal(t, holds, !newPodRecord(&pod).Ended, phase)
	}
	pod.Status.Phase, pod.DeletionTimestamp = corev1.PodRunning, new(metav1.Now())
	assert.False(t, newPodRecord(&pod).Ended, "a terminating pod keeps its requests")
}

// The requests of a Job's pods are known before the first pod exists.
func TestTemplateRequests(t *testing.T) {
	limited := func(name string, limits ...string) corev1.Container {
		return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Limits: list(limits...)}}
	}
	for name, test := range map[string]struct {
		spec corev1.PodSpec
		want Resources
	}{
		"limits": {
			spec: corev1.PodSpec{Containers: []corev1.Container{limited("a", "cpu", "4", "nvidia.com/gpu", "1"), container("b", "cpu", "1")}},
			want: Resources{CPU: 5000, Pods: 1, Other: map[corev1.ResourceName]int64{"nvidia.com/gpu": 1}},
		},
		"requests below limits": {
			spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: list("cpu", "1"), Limits: list("cpu", "4", "memory", "1Ki")}}}},
			want: Resources{CPU: 1000, Memory: 1024, Pods: 1},
		},
		"of an init container": {
			spec: corev1.PodSpec{InitContainers: []corev1.Container{limited("i", "cpu", "3")}, Containers: []corev1.Container{container("b", "cpu", "1")}},
			want: Resources{CPU: 3000, Pods: 1},
		},
		"of the whole pod": {
			spec: corev1.PodSpec{
				Resources:  &corev1.ResourceRequirements{Limits: list("cpu", "8", "memory", "1Ki")},
				Containers: []corev1.Container{container("a", "cpu", "2")},
			},
			want: Resources{CPU: 2000, Memory: 1024, Pods: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := &batchv1.Job{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: test.spec}}}
			before := job.DeepCopy()
			assert.Equal(t, test.want, newJobRecord(job).workload.Requests)
			assert.Equal(t, before, job, "it belongs to the cache")
		})
	}
}
