package failures_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
	"minicluster.internal/operator/test/framework/user"
)

// namespaceGone is the timeout for the deletion of a namespace with pods that end at once, which takes 5 to 15 s on an
// idle machine.
const namespaceGone = 4 * time.Minute

// TestNamespaceDeletion deletes namespaces with MiniClusters in each possible state, and waits for the end of the
// deletion.
func TestNamespaceDeletion(t *testing.T) {
	f := newFixture(t)
	lasting := func(t *testing.T) *fixture {
		t.Helper()
		return &fixture{user.FixtureIn(t, f.Cluster, clustertest.LastingNamespace(t, f.Cluster))}
	}
	ready := func(f *fixture, mods ...func(*v1alpha2.MiniCluster)) {
		f.Helper()
		f.Create("work", 3, append(mods, user.MaxSize(6))...)
		f.WaitFor("work", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	}
	for name, prepare := range map[string]func(f *fixture){
		"running": func(f *fixture) { ready(f) },
		"starting": func(f *fixture) {
			f.Create("work", 3, unready)
			f.hasPods("work", 3, 0)
		},
		"complete": func(f *fixture) {
			ready(f)
			require.NoError(f, f.Cluster.ExitPod(f.Context(), f.Namespace, f.podOfIndex("work", "0").Name, 0))
			f.WaitFor("work", user.HasReason(v1alpha2.ConditionComplete, v1alpha2.ReasonComplete))
		},
		"failed": func(f *fixture) {
			ready(f)
			require.NoError(f, f.Cluster.ExitPod(f.Context(), f.Namespace, f.podOfIndex("work", "0").Name, 3))
			f.WaitFor("work", user.HasReason(v1alpha2.ConditionFailed, v1alpha2.ReasonFailed))
		},
		"suspended": func(f *fixture) {
			ready(f)
			_, err := f.Kube.BatchV1().Jobs(f.Namespace).Patch(f.Context(), "work", types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{})
			require.NoError(f, err)
			f.WaitFor("work", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonSuspended))
		},
		"with volumes": func(f *fixture) {
			ready(f, func(mc *v1alpha2.MiniCluster) {
				mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{
					"data": {Path: "/data", StorageClass: "buckets", Driver: "bucket.csi.example", Secret: "keys"},
				}
				mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{"data": {Path: "/data"}}
			})
			mc, err := f.MiniClusters().Get(f.Context(), "work", metav1.GetOptions{})
			require.NoError(f, err)
			require.Contains(f, mc.Finalizers, v1alpha2.FinalizerVolumes)
		},
		"shrunk": func(f *fixture) {
			ready(f)
			f.SetSize("work", 1)
			f.WaitFor("work", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady, "1 of 1"))
		},
		"a rank is being replaced": func(f *fixture) {
			ready(f)
			require.NoError(f, f.Cluster.ExitPod(f.Context(), f.Namespace, f.podOfIndex("work", "1").Name, 143))
			// The next pod comes after ten seconds: a status may be later.
			f.hasPods("work", 2, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := lasting(t)
			prepare(f)
			begin := time.Now()
			namespaces := f.Kube.CoreV1().Namespaces()
			require.NoError(t, namespaces.Delete(t.Context(), f.Namespace, metav1.DeleteOptions{}))
			f.Eventually("the end of the namespace", func(ctx context.Context) (string, error) {
				namespace, err := namespaces.Get(ctx, f.Namespace, metav1.GetOptions{})
				if apierrors.IsNotFound(err) {
					return "", nil
				}
				return fmt.Sprintf("it has %+v", namespace.Status.Conditions), err
			})
			took := time.Since(begin).Round(100 * time.Millisecond)
			t.Logf("gone after %s", took)
			assert.Less(t, took, namespaceGone)
		})
	}
}

// hasPods waits until a Job has a number of active pods, of which some are ready.
func (f *fixture) hasPods(name string, active, ready int32) {
	f.Helper()
	f.Eventually("the pods of "+name, func(ctx context.Context) (string, error) {
		job, err := f.Kube.BatchV1().Jobs(f.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil || job.Status.Active == active && ptr.Deref(job.Status.Ready, 0) == ready {
			return "", err
		}
		return fmt.Sprintf("the Job has %+v", job.Status), nil
	})
}

// TestRankIsReplacedAgainAndAgain deletes the pod of one rank several times: the Job controller, which doubles its
// delay from 10 s with each failure that it counts, does not take longer each time.
func TestRankIsReplacedAgainAndAgain(t *testing.T) {
	f := newFixture(t)
	f.Create("moved", 2)
	f.WaitFor("moved", user.HasReason(v1alpha2.ConditionReady, v1alpha2.ReasonReady))
	var took time.Duration
	for range 5 {
		pod := f.podOfIndex("moved", "1")
		begin := time.Now()
		require.NoError(t, f.Kube.CoreV1().Pods(f.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}))
		f.Eventually("another pod of the rank", func(context.Context) (string, error) {
			for _, other := range f.pods("moved") {
				if other.Labels["batch.kubernetes.io/job-completion-index"] == "1" && other.UID != pod.UID && other.DeletionTimestamp == nil {
					return "", nil
				}
			}
			return "there is none", nil
		})
		took = time.Since(begin)
		f.Eventually("its failures to be forgotten", func(context.Context) (string, error) {
			return f.failuresOf("moved", "1"), nil
		})
	}
	t.Logf("replaced after %s the last time", took.Round(100*time.Millisecond))
	// With the failures of before, the delay would be 160 s. The bound allows for a busy machine.
	assert.Less(t, took, 150*time.Second)
}

// failuresOf returns the recorded failures of an existing pod of a rank; "" if there are none.
func (f *fixture) failuresOf(name, index string) string {
	for _, pod := range f.pods(name) {
		if pod.Labels["batch.kubernetes.io/job-completion-index"] != index || pod.DeletionTimestamp != nil {
			continue
		}
		failures := pod.Annotations["batch.kubernetes.io/job-index-failure-count"]
		ignored := pod.Annotations["batch.kubernetes.io/job-index-ignored-failure-count"]
		if failures == "0" && ignored == "" {
			return ""
		}
		return fmt.Sprintf("failures %q, ignored %q", failures, ignored)
	}
	return "it has no pod"
}
