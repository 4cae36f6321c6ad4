package hardening_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/faults"
	"minicluster.internal/operator/test/framework/user"
)

// lateWrite is a write that follows its cause after many seconds. It is the only one that is broken, so that not each
// of the writes before it takes that time.
type lateWrite struct {
	name  string
	match faults.Match
	act   func(f *fixture)
	check func(f *fixture, m mode)
}

var lateWrites = []lateWrite{
	{
		name: "abandon", match: faults.All(faults.Verb("delete"), faults.Resource("jobs")),
		act: deleteNamespace, check: func(f *fixture, _ mode) { f.namespaceGone() },
	},
	{
		name: "recover", match: faults.All(faults.Verb("patch"), faults.Resource("pods")),
		act: loseFollower, check: checkRecovered,
	},
}

// breakLateWrite makes a write go wrong once.
func breakLateWrite(t *testing.T, m mode, w lateWrite, broken *brokenWrites) {
	takeTurn(t)
	f := newFixture(t)
	f.podDiagnosisDelay = time.Second
	s := f.supervise()
	f.create("late", 2, maxSize(4))
	f.settled("late", 2, v1alpha2.ReasonWithinBounds)
	rule, disarm := s.armFor(w.match, m, 1)
	w.act(f)
	select {
	case <-rule.Fired():
	case <-time.After(patience):
		require.Fail(t, "no such write")
	}
	w.check(f, m)
	broken.add(disarm())
}

func deleteNamespace(f *fixture) {
	require.NoError(f, f.Kube.CoreV1().Namespaces().Delete(f.Context(), f.Namespace, metav1.DeleteOptions{}))
}

func (f *fixture) namespaceGone() {
	f.Helper()
	f.eventually("the end of the namespace", func() bool {
		_, err := f.Kube.CoreV1().Namespaces().Get(f.Context(), f.Namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func loseFollower(f *fixture) {
	pods, err := user.ListPods(f.Context(), f.Kube, f.Namespace, user.Selector("late"))
	require.NoError(f, err)
	require.Len(f, pods, 2)
	require.NoError(f, f.Kube.CoreV1().Pods(f.Namespace).Delete(f.Context(), pods[1].Name, metav1.DeleteOptions{}))
}

// checkRecovered also checks that the failures of the rank are forgotten, except by a controller that was killed
// before: the next one does not know that pods were lost.
func checkRecovered(f *fixture, m mode) {
	mc := f.settled("late", 2, v1alpha2.ReasonWithinBounds)
	f.single(mc, "recovered")
	if m.kill {
		return
	}
	f.Eventually("the failures to be forgotten", func(ctx context.Context) (string, error) {
		pods, err := user.ListPods(ctx, f.Kube, f.Namespace, user.Selector("late"))
		if err != nil {
			return "", err
		}
		for _, pod := range pods {
			if count := pod.Annotations[batchv1.JobIndexFailureCountAnnotation]; count != "" && count != "0" {
				return fmt.Sprintf("pod %s has %s", pod.Name, count), nil
			}
		}
		return "", nil
	})
}

// TestNamespaceDeletionWithoutWatch deletes the namespace of a controller that works in some namespaces only and cannot
// watch them: it learns from a rejected pod.
func TestNamespaceDeletionWithoutWatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.podDiagnosisDelay = time.Second
	f.start(2)
	f.create("work", 2, maxSize(4))
	f.settled("work", 2, v1alpha2.ReasonWithinBounds)
	begin := time.Now()
	deleteNamespace(f)
	f.namespaceGone()
	t.Logf("gone after %.1f s", time.Since(begin).Seconds())
}

// TestNamespaceDeletionWithoutController does what the runbook says about a namespace that hangs.
func TestNamespaceDeletionWithoutController(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := f.start(2)
	f.create("work", 2, maxSize(4))
	f.settled("work", 2, v1alpha2.ReasonWithinBounds)
	run.stop()
	deleteNamespace(f)
	f.Eventually("the pods to have failed", func(ctx context.Context) (string, error) {
		pods, err := user.ListPods(ctx, f.Kube, f.Namespace, user.Selector("work"))
		for _, pod := range pods {
			if pod.Status.Phase != corev1.PodFailed {
				return "pod " + pod.Name + " has not", err
			}
		}
		return "", err
	})
	f.Kubectl("delete", "jobs", "--selector="+v1alpha2.LabelManagedBy+"="+v1alpha2.ManagedBy)
	f.namespaceGone()
}
