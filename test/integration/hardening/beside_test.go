package hardening_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/faults"
)

// withBeside adds one of each auxiliary object. Sidecars get different names, as their Services require.
func withBeside(mc *v1alpha2.MiniCluster) {
	flux := &mc.Spec.Containers[0]
	flux.RunFlux = true
	flux.Volumes = map[string]v1alpha2.ContainerVolume{"data": {Path: "/data"}}
	mc.Spec.Containers = append(mc.Spec.Containers, v1alpha2.MiniClusterContainer{Name: sidecarOf(mc.Name), Image: "sidecar:test", Ports: []int32{80}})
	mc.Spec.Services = []v1alpha2.MiniClusterContainer{{Name: "registry", Image: "registry:test"}}
	mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{
		"data": {Path: "/unused", StorageClass: "buckets", Driver: "bucket.csi.example", Secret: "keys", VolumeHandle: mc.Name},
	}
}

func sidecarOf(name string) string { return "web-" + name }

func createBeside(f *fixture, name string, _ int) { f.create(name, 2, maxSize(4), withBeside) }

func prepareBeside(f *fixture, name string) {
	createBeside(f, name, 0)
	f.settledBeside(name)
}

// settledBeside waits until all objects of a MiniCluster exist, including the auxiliary ones.
func (f *fixture) settledBeside(name string) *v1alpha2.MiniCluster {
	f.Helper()
	mc := f.settled(name, 2, v1alpha2.ReasonWithinBounds)
	f.wait(f.T, "all that "+name+" has beside its Job", func() string {
		service := get[*corev1.Service](f.world, "Service", sidecarOf(name))
		pod := get[*corev1.Pod](f.world, "Pod", name+"-services")
		claim := get[*corev1.PersistentVolumeClaim](f.world, "PersistentVolumeClaim", name+".data")
		switch {
		case service == nil || !metav1.IsControlledBy(service, mc):
			return "no Service of the sidecar"
		case pod == nil || pod.Status.Phase != corev1.PodRunning || pod.DeletionTimestamp != nil:
			return "no services pod"
		case claim == nil || claim.Status.Phase != corev1.ClaimBound:
			return "no claim that is bound"
		}
		return ""
	})
	return mc
}

// onceBeside checks that each auxiliary object was created only once.
func (f *fixture) onceBeside(mc *v1alpha2.MiniCluster, why string) {
	f.Helper()
	for kind, n := range map[string]int{"Job": 1, "Secret": 1, "ConfigMap": 1, "Service": 2, "Pod": 1, "PersistentVolumeClaim": 1, "PersistentVolume": 1} {
		f.created(kind, mc, n, why)
	}
}

func checkBeside(f *fixture, name string, _ int) {
	mc := f.settledBeside(name)
	f.onceBeside(mc, "created")
	finalized := f.first(f.T, "a finalizer", func(o metav1.Object) bool { return o.GetUID() == mc.UID && len(o.GetFinalizers()) > 0 })
	volume := f.first(f.T, "a volume", func(o metav1.Object) bool {
		_, ok := o.(*corev1.PersistentVolume)
		return ok && owned(o, mc)
	})
	assert.Less(f, finalized.version, volume.version, "the finalizer comes first")
}

func checkReleased(f *fixture, name string, _ int) {
	mc := f.firstOf(name)
	f.gone(mc)
	f.onceBeside(mc, "deleted")
}

func checkRetired(f *fixture, name string, _ int) {
	var mc *v1alpha2.MiniCluster
	f.wait(f.T, name+" to end, and its services pod", func() string {
		mc = get[*v1alpha2.MiniCluster](f.world, "MiniCluster", name)
		if !is(&mc.Status, v1alpha2.ConditionComplete, metav1.ConditionTrue, v1alpha2.ReasonComplete) {
			return describe(mc, nil)
		}
		if get[*corev1.Pod](f.world, "Pod", name+"-services") != nil {
			return "the services pod exists"
		}
		return ""
	})
	f.onceBeside(mc, "finished")
}

// Auxiliary objects are deleted with their MiniCluster, and not created again by a controller that sees their
// deletion first.
func TestDeletedMiniClusterGetsNothingBesideItsJob(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	run := f.prepare()
	run.begin(2)
	f.create("deleted", 2, maxSize(4), withBeside, func(mc *v1alpha2.MiniCluster) { mc.Spec.Volumes, mc.Spec.Containers[0].Volumes = nil, nil })
	mc := f.settled("deleted", 2, v1alpha2.ReasonWithinBounds)
	run.current("deleted")
	release := run.HoldWatches(faults.Resource("miniclusters"))
	defer release()
	// These two are deleted first, while all other objects exist.
	asked := run.Counts()["list miniclusters"]
	f.delete("deleted")
	err := f.Kube.CoreV1().Services(f.Namespace).Delete(t.Context(), sidecarOf("deleted"), metav1.DeleteOptions{})
	if !apierrors.IsNotFound(err) { // the garbage collector may have been faster
		require.NoError(t, err)
	}
	f.gone(mc)
	f.eventually("a question", func() bool { return run.Counts()["list miniclusters"] > asked })
	for kind, n := range map[string]int{"Job": 1, "Secret": 1, "ConfigMap": 1, "Service": 2, "Pod": 1} {
		f.created(kind, mc, n, "deleted")
	}
}
