package cluster_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

// simulatedPod is the pod of a test.
type simulatedPod struct {
	kube      *cluster.Cluster
	namespace string
	name      string
}

func newPod(t *testing.T, annotations map[string]string) simulatedPod {
	t.Helper()
	kube := suite.Cluster(t)
	p := simulatedPod{kube: kube, namespace: clustertest.Namespace(t, kube), name: "pod"}
	always := corev1.ContainerRestartPolicyAlways
	_, err := kube.Client().CoreV1().Pods(p.namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.name, Annotations: annotations, Finalizers: []string{"example.com/kept"}},
		Spec: corev1.PodSpec{
			RestartPolicy:  corev1.RestartPolicyNever,
			InitContainers: []corev1.Container{{Name: "prepare", Image: "simulated"}, {Name: "proxy", Image: "simulated", RestartPolicy: &always}},
			Containers:     []corev1.Container{{Name: "broker", Image: "simulated"}, {Name: "sidecar", Image: "simulated"}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	return p
}

func (p simulatedPod) get(t *testing.T) *corev1.Pod {
	t.Helper()
	pod, err := p.kube.Client().CoreV1().Pods(p.namespace).Get(t.Context(), p.name, metav1.GetOptions{})
	require.NoError(t, err)
	return pod
}

func (p simulatedPod) await(t *testing.T, phase corev1.PodPhase, ready bool) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	await(t, func() bool {
		pod = p.get(t)
		return pod.Status.Phase == phase && isReady(pod) == ready
	}, "phase %s, ready %t", phase, ready)
	return pod
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func exitCodes(statuses []corev1.ContainerStatus) map[string]int32 {
	codes := map[string]int32{}
	for _, status := range statuses {
		if status.State.Terminated != nil {
			codes[status.Name] = status.State.Terminated.ExitCode
		}
	}
	return codes
}

func TestPodStarts(t *testing.T) {
	pod := newPod(t, nil).await(t, corev1.PodRunning, true)
	assert.NotEmpty(t, pod.Status.PodIP)
	assert.NotEmpty(t, pod.Spec.NodeName)
	require.Len(t, pod.Status.ContainerStatuses, 2)
	assert.NotNil(t, pod.Status.ContainerStatuses[0].State.Running)
	assert.True(t, pod.Status.ContainerStatuses[0].Ready)
	assert.Equal(t, map[string]int32{"prepare": 0}, exitCodes(pod.Status.InitContainerStatuses), "the native sidecar continues")
}

func TestPodReadiness(t *testing.T) {
	p := newPod(t, map[string]string{cluster.AnnotationUnready: "true"})
	pod := p.await(t, corev1.PodRunning, false)
	assert.False(t, pod.Status.ContainerStatuses[0].Ready)
	require.NoError(t, p.kube.SetPodReady(t.Context(), p.namespace, p.name, true))
	pod = p.await(t, corev1.PodRunning, true)
	assert.True(t, pod.Status.ContainerStatuses[0].Ready)
	assert.NotNil(t, pod.Status.ContainerStatuses[0].State.Running)
	require.NoError(t, p.kube.SetPodReady(t.Context(), p.namespace, p.name, false))
	pod = p.await(t, corev1.PodRunning, false)
	assert.NotNil(t, pod.Status.ContainerStatuses[1].State.Running)
}

func TestPodExit(t *testing.T) {
	tests := []struct {
		name        string
		annotations map[string]string
		phase       corev1.PodPhase
		codes       map[string]int32
	}{
		{
			name:        "success",
			annotations: map[string]string{cluster.AnnotationExitCode: "0"},
			phase:       corev1.PodSucceeded,
			codes:       map[string]int32{"broker": 0, "sidecar": 0},
		},
		{
			name:        "failure",
			annotations: map[string]string{cluster.AnnotationExitCode: "42"},
			phase:       corev1.PodFailed,
			codes:       map[string]int32{"broker": 42, "sidecar": 42},
		},
		{
			name:        "failure of one container",
			annotations: map[string]string{cluster.AnnotationExitCode: "42", cluster.AnnotationExitContainer: "broker"},
			phase:       corev1.PodFailed,
			codes:       map[string]int32{"broker": 42, "sidecar": 0},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPod(t, nil)
			p.await(t, corev1.PodRunning, true)
			require.NoError(t, p.kube.AnnotatePod(t.Context(), p.namespace, p.name, tt.annotations))
			pod := p.await(t, tt.phase, false)
			assert.Equal(t, tt.codes, exitCodes(pod.Status.ContainerStatuses))
			assert.Nil(t, pod.Status.ContainerStatuses[0].State.Running)
			assert.Equal(t, map[string]int32{"prepare": 0, "proxy": 0}, exitCodes(pod.Status.InitContainerStatuses))
		})
	}
}

// The times in the next two cases are long enough to see the intermediate state on a busy machine.
func TestPodTakesItsTime(t *testing.T) {
	begin := time.Now()
	p := newPod(t, map[string]string{
		cluster.AnnotationStartAfter: "500ms",
		cluster.AnnotationExitAfter:  "5s",
		cluster.AnnotationExitCode:   "0",
	})
	p.await(t, corev1.PodRunning, true)
	assert.Greater(t, time.Since(begin), 500*time.Millisecond)
	p.await(t, corev1.PodSucceeded, false)
	assert.Greater(t, time.Since(begin), 5500*time.Millisecond)
}

// A Job removes its finalizer from a deleted pod when the pod has failed, so a pod with a finalizer must show that.
func TestPodIsDeleted(t *testing.T) {
	p := newPod(t, map[string]string{cluster.AnnotationTerminateAfter: "5s"})
	p.await(t, corev1.PodRunning, true)
	pods := p.kube.Client().CoreV1().Pods(p.namespace)
	begin := time.Now()
	require.NoError(t, pods.Delete(t.Context(), p.name, metav1.DeleteOptions{}))
	pod := p.await(t, corev1.PodRunning, true)
	assert.NotNil(t, pod.DeletionTimestamp, "it terminates, but still runs")
	pod = p.await(t, corev1.PodFailed, false)
	assert.Greater(t, time.Since(begin), 5*time.Second)
	assert.Equal(t, map[string]int32{"broker": 143, "sidecar": 143}, exitCodes(pod.Status.ContainerStatuses))
	assert.Equal(t, map[string]int32{"prepare": 0, "proxy": 143}, exitCodes(pod.Status.InitContainerStatuses))

	_, err := p.kube.Kubectl(t.Context(), "patch", "pod", p.name, "--namespace", p.namespace, "--type=merge", `--patch={"metadata":{"finalizers":null}}`)
	require.NoError(t, err)
	await(t, func() bool {
		_, err := pods.Get(t.Context(), p.name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	}, "it is deleted without the finalizer")
}
