package controller_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/user"
)

// brokers watches the pods of a MiniCluster; the returned function stops the watch and returns the ranks that two
// pods had at the same time.
func (f *fixture) brokers(name string) func() []string {
	f.Helper()
	ctx, stop := context.WithCancel(f.Context())
	w, err := f.kube.CoreV1().Pods(f.namespace).Watch(ctx, metav1.ListOptions{LabelSelector: "hpa-selector=" + name})
	require.NoError(f, err)
	done := make(chan []string)
	go func() {
		var doubled []string
		alive := map[string]map[types.UID]bool{}
		for e := range w.ResultChan() {
			pod, ok := e.Object.(*corev1.Pod)
			if !ok {
				continue
			}
			index := pod.Labels[batchv1.JobCompletionIndexAnnotation]
			if alive[index] == nil {
				alive[index] = map[types.UID]bool{}
			}
			if e.Type == "DELETED" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
				delete(alive[index], pod.UID)
				continue
			}
			alive[index][pod.UID] = true
			if len(alive[index]) > 1 {
				doubled = append(doubled, fmt.Sprintf("rank %s, %s", index, pod.Name))
			}
		}
		done <- doubled
	}()
	return func() []string {
		w.Stop()
		stop()
		return <-done
	}
}

// terminateForever are the annotations of pods that terminate until released.
func terminateForever() map[string]string {
	return map[string]string{cluster.AnnotationTerminateAfter: cluster.Forever}
}

// released releases the pods of a selector once they terminate, and waits until they are gone.
func (f *fixture) released(selector string) {
	f.Helper()
	f.eventually("the end of pods "+selector, func(ctx context.Context) (string, error) {
		if err := f.cluster.ReleasePods(ctx, f.namespace, selector); err != nil {
			return "", err
		}
		pods, err := user.ListPods(ctx, f.kube, f.namespace, selector)
		if err != nil || len(pods) > 0 {
			return fmt.Sprintf("there are %d", len(pods)), err
		}
		return "", nil
	})
}

// A recreated Job waits for the pods of the previous one: two brokers of one rank would conflict.
func TestNewJobWaitsForFormerPods(t *testing.T) {
	t.Parallel()
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.createReady("former", 2, func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Pod = &v1alpha2.PodSpec{Annotations: terminateForever()}
			})
			doubled := f.brokers("former")
			before := f.job("former").UID
			require.NoError(t, f.kube.BatchV1().Jobs(f.namespace).Delete(t.Context(), "former", metav1.DeleteOptions{PropagationPolicy: &policy}))
			f.waitFor("former", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonWaiting, "2 pods", "former-0", "previous Job"))
			if policy == metav1.DeletePropagationOrphan {
				require.NoError(t, f.kube.CoreV1().Pods(f.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}))
			}
			f.released(batchv1.ControllerUidLabel + "=" + string(before))
			f.waitFor("former", f.ready(2), has(v1alpha2.ConditionProgressing, metav1.ConditionFalse, v1alpha2.ReasonStable))
			assert.NotEqual(t, before, f.job("former").UID)
			assert.Empty(t, doubled())
		})
	}
}

// A Job that another controller created replaces pods that are still terminating. It grows again only when the
// removed ones are gone.
func TestGrowthWaitsForTerminatingPods(t *testing.T) {
	f := newFixture(t)
	running.halt(t)
	mc := f.create("grow", 3)
	mc.Status.MaximumSize = 3
	mc, err := f.miniclusters().UpdateStatus(t.Context(), mc, metav1.UpdateOptions{})
	require.NoError(t, err)
	job, err := f.kube.BatchV1().Jobs(f.namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "grow", OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(mc, v1alpha2.MiniClusterKind)}},
		Spec: batchv1.JobSpec{
			CompletionMode: new(batchv1.IndexedCompletion), Parallelism: new(int32(3)), Completions: new(int32(3)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"hpa-selector": "grow"}, Annotations: terminateForever()},
				Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "grow", Image: "old"}}},
			},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.Equal(t, batchv1.TerminatingOrFailed, *job.Spec.PodReplacementPolicy, "the premise of this test")
	running.start(t)

	f.waitFor("grow", f.ready(3))
	doubled := f.brokers("grow")
	f.setSize("grow", 1)
	f.eventually("pods to be stopped", func(ctx context.Context) (string, error) {
		indexes, err := f.podIndexes(ctx, "grow")
		if len(indexes) != 1 {
			return fmt.Sprint(indexes), err
		}
		return "", err
	})
	f.setSize("grow", 3)
	f.waitFor("grow", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonWaiting, "2 pods", "grow-1", "from 1 to 3"))
	require.NoError(t, f.cluster.ReleasePods(t.Context(), f.namespace, user.Selector("grow")))
	f.waitFor("grow", f.ready(3))
	assert.Empty(t, doubled())
}
