package cluster_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

// A MiniCluster is based on an elastic Indexed Job whose index 0 determines its success: this test checks the whole
// life of such a Job, without any part of the product except for the simulated nodes.
func TestElasticIndexedJob(t *testing.T) {
	kube := suite.Cluster(t)
	job := newElasticJob(t, kube, 4)

	before := job.pods(t)
	require.Len(t, before, 4)

	job.resize(t, 2)
	await(t, func() bool { return len(job.pods(t)) == 2 }, "pods 2 and 3 are deleted")
	after := job.pods(t)
	assert.Equal(t, before[0], after[0], "pod 0 is not affected")
	assert.Equal(t, before[1], after[1], "pod 1 is not affected")

	job.resize(t, 4)
	job.awaitReady(t, 4)
	regrown := job.pods(t)
	assert.Equal(t, before[0], regrown[0])
	assert.NotEqual(t, before[2], regrown[2], "index 2 is a new pod")
	assert.NotEqual(t, before[3], regrown[3], "index 3 is a new pod")

	require.NoError(t, kube.SucceedPod(t.Context(), job.namespace, job.podName(t, "0")))
	job.awaitCondition(t, batchv1.JobComplete)
	status := job.get(t).Status
	assert.Equal(t, "0", status.CompletedIndexes)
	assert.EqualValues(t, 1, status.Succeeded)
	assert.Zero(t, status.Failed, "neither a shrink nor the end of the other pods counts as a failure")
	await(t, func() bool { return len(job.pods(t)) == 1 }, "only pod 0 remains")
}

// Two brokers must never share a rank, so a recreated index has to wait for its previous pod.
func TestIndexComesBackWhenItsPodHasEnded(t *testing.T) {
	kube := suite.Cluster(t)
	job := newElasticJob(t, kube, 2)
	before := job.pods(t)
	require.NoError(t, kube.AnnotatePod(t.Context(), job.namespace, job.podName(t, "1"), map[string]string{
		cluster.AnnotationTerminateAfter: cluster.Forever,
	}))
	job.resize(t, 1)
	await(t, func() bool { return ptr.Deref(job.get(t).Status.Terminating, 0) == 1 }, "pod 1 terminates")
	job.resize(t, 3)
	await(t, func() bool { return job.pods(t)[2] != "" }, "index 2 has a pod")
	assert.Len(t, job.list(t), 3)
	assert.Equal(t, before[1], job.pods(t)[1], "index 1 has no other pod yet")

	require.NoError(t, kube.ReleasePods(t.Context(), job.namespace, ""))
	await(t, func() bool {
		uid, exists := job.pods(t)[1]
		return exists && uid != before[1]
	}, "index 1 has another pod")
	job.awaitReady(t, 3)
}

// elasticJob returns a Job like that of a MiniCluster.
type elasticJob struct {
	kube      *cluster.Cluster
	namespace string
}

const jobName = "elastic"

func newElasticJob(t *testing.T, kube *cluster.Cluster, size int32) elasticJob {
	t.Helper()
	job := elasticJob{kube: kube, namespace: clustertest.Namespace(t, kube)}
	_, err := kube.Client().BatchV1().Jobs(job.namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: jobName},
		Spec: batchv1.JobSpec{
			Completions:          ptr.To(size),
			Parallelism:          ptr.To(size),
			CompletionMode:       ptr.To(batchv1.IndexedCompletion),
			BackoffLimit:         ptr.To[int32](100),
			PodReplacementPolicy: ptr.To(batchv1.Failed),
			SuccessPolicy: &batchv1.SuccessPolicy{
				Rules: []batchv1.SuccessPolicyRule{{SucceededIndexes: ptr.To("0")}},
			},
			PodFailurePolicy: &batchv1.PodFailurePolicy{
				Rules: []batchv1.PodFailurePolicyRule{
					{
						Action: batchv1.PodFailurePolicyActionIgnore,
						OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{
							{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue},
						},
					},
					{
						Action: batchv1.PodFailurePolicyActionFailJob,
						OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
							Operator: batchv1.PodFailurePolicyOnExitCodesOpNotIn,
							Values:   []int32{0, 137, 143},
						},
					},
				},
			},
			Template: corev1.PodTemplateSpec{
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever,
					Containers:    []corev1.Container{{Name: "broker", Image: "simulated"}},
				},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	job.awaitReady(t, size)
	return job
}

func (j elasticJob) get(t *testing.T) *batchv1.Job {
	t.Helper()
	job, err := j.kube.Client().BatchV1().Jobs(j.namespace).Get(t.Context(), jobName, metav1.GetOptions{})
	require.NoError(t, err)
	return job
}

func (j elasticJob) resize(t *testing.T, size int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"parallelism":%d,"completions":%d}}`, size, size)
	_, err := j.kube.Client().BatchV1().Jobs(j.namespace).Patch(t.Context(), jobName, types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(t, err)
}

func (j elasticJob) list(t *testing.T) []corev1.Pod {
	t.Helper()
	pods, err := j.kube.Client().CoreV1().Pods(j.namespace).List(t.Context(), metav1.ListOptions{
		LabelSelector: batchv1.JobNameLabel + "=" + jobName,
	})
	require.NoError(t, err)
	return pods.Items
}

// pods returns the UIDs of the Job's pods by index.
func (j elasticJob) pods(t *testing.T) map[int]types.UID {
	t.Helper()
	uids := map[int]types.UID{}
	for _, pod := range j.list(t) {
		index, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
		require.NoError(t, err)
		uids[index] = pod.UID
	}
	return uids
}

func (j elasticJob) podName(t *testing.T, index string) string {
	t.Helper()
	for _, pod := range j.list(t) {
		if pod.Annotations[batchv1.JobCompletionIndexAnnotation] == index {
			return pod.Name
		}
	}
	require.FailNow(t, "no pod with index "+index)
	return ""
}

func (j elasticJob) awaitReady(t *testing.T, size int32) {
	t.Helper()
	await(t, func() bool {
		status := j.get(t).Status
		return status.Active == size && ptr.Deref(status.Ready, 0) == size
	}, "%d pods are ready", size)
}

func (j elasticJob) awaitCondition(t *testing.T, want batchv1.JobConditionType) {
	t.Helper()
	await(t, func() bool {
		for _, condition := range j.get(t).Status.Conditions {
			if condition.Type == want && condition.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	}, "the Job is %s", want)
}
