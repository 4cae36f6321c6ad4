// Package user acts like the users of MiniClusters in tests on a cluster, and waits for what they see: lists,
// statuses, conditions and events. [Fixture] combines all of it for the namespace of one test. The package also
// simulates the agents of simulated pods. Helpers that only one package of tests needs belong in that package.
package user

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	clientset "minicluster.internal/operator/pkg/generated/clientset/versioned"
	client "minicluster.internal/operator/pkg/generated/clientset/versioned/typed/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/cluster"
	"minicluster.internal/operator/test/framework/cluster/clustertest"
)

// SystemNamespace is where the programs have their service accounts and leases.
const SystemNamespace = "minicluster-system"

// The names of the programs' users in the API server, and the manifests that the controller needs.
var (
	Controller   = cluster.ServiceAccountUser(SystemNamespace, "minicluster-controller")
	Metrics      = cluster.ServiceAccountUser(SystemNamespace, "minicluster-metrics")
	SystemGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + SystemNamespace}
	Manifests    = clustertest.Apply("manifests/namespace", "manifests/crd", "manifests/rbac", "manifests/persistent-volumes")
)

// Clients are the clients of a user in a namespace.
type Clients struct {
	Flux      clientset.Interface
	Kube      kubernetes.Interface
	Namespace string
}

// In returns the clients of a user of a cluster.
func In(t testing.TB, kube *cluster.Cluster, namespace string) Clients {
	t.Helper()
	flux, err := clientset.NewForConfig(kube.Config())
	require.NoError(t, err)
	return Clients{Flux: flux, Kube: kube.Client(), Namespace: namespace}
}

// MiniClusters returns the client for the MiniClusters of the namespace.
func (c Clients) MiniClusters() client.MiniClusterInterface {
	return c.Flux.FluxFrameworkV1alpha2().MiniClusters(c.Namespace)
}

// New returns a MiniCluster like that of the tutorial.
func New(name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	mc := &v1alpha2.MiniCluster{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha2.MiniClusterSpec{
			Size: &size, Interactive: true,
			Containers: []v1alpha2.MiniClusterContainer{{Image: "flux:test"}},
		},
	}
	for _, mod := range mods {
		mod(mc)
	}
	return mc
}

// MaxSize sets spec.maxSize.
func MaxSize(n int32) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) { mc.Spec.MaxSize = n }
}

// Create creates a MiniCluster like that of the tutorial.
func (c Clients) Create(t testing.TB, name string, size int32, mods ...func(*v1alpha2.MiniCluster)) *v1alpha2.MiniCluster {
	t.Helper()
	mc, err := c.MiniClusters().Create(t.Context(), New(name, size, mods...), metav1.CreateOptions{})
	require.NoError(t, err)
	return mc
}

// Patch applies a merge patch to a MiniCluster.
func (c Clients) Patch(t testing.TB, name string, patch map[string]any) *v1alpha2.MiniCluster {
	t.Helper()
	text, err := json.Marshal(patch)
	require.NoError(t, err)
	mc, err := c.MiniClusters().Patch(t.Context(), name, types.MergePatchType, text, metav1.PatchOptions{})
	require.NoError(t, err)
	return mc
}

// SetSize writes spec.size.
func (c Clients) SetSize(t testing.TB, name string, size int32) *v1alpha2.MiniCluster {
	t.Helper()
	return c.Patch(t, name, map[string]any{"spec": map[string]any{"size": size}})
}

// LeadPod waits until a MiniCluster has one pod 0, and returns its name. A terminating one does not count.
func (c Clients) LeadPod(t testing.TB, name string) string {
	t.Helper()
	var lead string
	Eventually(t, Patience, "the lead pod of "+name, func(ctx context.Context) (string, error) {
		pods, err := ListPods(ctx, c.Kube, c.Namespace, fmt.Sprintf("%s,%s=0", Selector(name), batchv1.JobCompletionIndexAnnotation))
		if err != nil {
			return "", err
		}
		pods = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
		if len(pods) != 1 {
			return fmt.Sprintf("there are %d", len(pods)), nil
		}
		lead = pods[0].Name
		return "", nil
	})
	return lead
}

// Settled returns why a MiniCluster has not settled at a size, "" if it has. A status can be older than the Job: it
// only counts if it describes the current spec and the Job has the same size, because the Job may still change to
// another one.
func (c Clients) Settled(ctx context.Context, name string, size int32) (string, error) {
	mc, err := c.MiniClusters().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	s := mc.Status
	if mc.RequestedSize() != size || s.Size != size || s.ReadySize != size || s.ObservedGeneration != mc.Generation {
		return fmt.Sprintf("spec.size is %d, status.size %d, ready %d, observed generation %d of %d",
			mc.RequestedSize(), s.Size, s.ReadySize, s.ObservedGeneration, mc.Generation), nil
	}
	return c.JobHas(ctx, name, size)
}

// JobHas returns why a MiniCluster's Job does not have a number of pods, all of them ready, "" if it does.
func (c Clients) JobHas(ctx context.Context, name string, size int32) (string, error) {
	job, err := c.Kube.BatchV1().Jobs(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	parallelism, completions, ready := ptr.Deref(job.Spec.Parallelism, 0), ptr.Deref(job.Spec.Completions, 0), ptr.Deref(job.Status.Ready, 0)
	if parallelism != size || completions != size || job.Status.Active != size || ready != size {
		return fmt.Sprintf("the Job's parallelism is %d, completions %d, active %d, ready %d", parallelism, completions, job.Status.Active, ready), nil
	}
	return "", nil
}

// Eventually waits until a check returns "", and fails with the last text. Tests with a [Fixture] use its method.
func Eventually(t testing.TB, patience time.Duration, what string, check func(context.Context) (string, error)) {
	t.Helper()
	if last := poll(t.Context(), interval, patience, check); last != "" {
		require.FailNow(t, "not met in time", "%s: %s", what, last)
	}
}
