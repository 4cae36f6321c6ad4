package controller_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/test/framework/user"
)

// bucket is a volume of a CSI driver.
func bucket() v1alpha2.MiniClusterVolume {
	return v1alpha2.MiniClusterVolume{
		Path: "/unused", StorageClass: "buckets", Driver: "bucket.csi.example", Secret: "keys", VolumeHandle: "b-1",
		Attributes: map[string]string{"bucket": "b-1"}, Capacity: "2Gi",
	}
}

// mounts adds a volume that the Flux container mounts.
func mounts(key string, volume v1alpha2.MiniClusterVolume) func(*v1alpha2.MiniCluster) {
	return func(mc *v1alpha2.MiniCluster) {
		if mc.Spec.Volumes == nil {
			mc.Spec.Volumes = map[string]v1alpha2.MiniClusterVolume{}
			mc.Spec.Containers[0].Volumes = map[string]v1alpha2.ContainerVolume{}
		}
		mc.Spec.Volumes[key] = volume
		mc.Spec.Containers[0].Volumes[key] = v1alpha2.ContainerVolume{Path: "/" + key}
	}
}

// bound waits until a volume's claim is bound to it, and returns it.
func (f *fixture) bound(mc *v1alpha2.MiniCluster, key string) *corev1.PersistentVolume {
	f.Helper()
	name := fmt.Sprintf("%s.%s.%s.%s", f.namespace, mc.Name, key, mc.UID[:8])
	var pv *corev1.PersistentVolume
	f.eventually("volume "+name, func(ctx context.Context) (string, error) {
		claim, err := f.kube.CoreV1().PersistentVolumeClaims(f.namespace).Get(ctx, mc.Name+"."+key, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		if pv, err = f.kube.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return "", err
		}
		if pv.Status.Phase != corev1.VolumeBound || claim.Status.Phase != corev1.ClaimBound || claim.Spec.VolumeName != name {
			return fmt.Sprintf("volume %s, claim %s of %s", pv.Status.Phase, claim.Status.Phase, claim.Spec.VolumeName), nil
		}
		return "", nil
	})
	return pv
}

func (f *fixture) volumeGoes(name string) {
	f.Helper()
	f.eventually("volume "+name+" to go", func(ctx context.Context) (string, error) {
		_, err := f.kube.CoreV1().PersistentVolumes().Get(ctx, name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return "it is still there", err
		}
		return "", nil
	})
}

func (f *fixture) goes(name string) {
	f.Helper()
	f.eventually("MiniCluster "+name+" to go", func(ctx context.Context) (string, error) {
		_, err := f.miniclusters().Get(ctx, name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return "it is still there", err
		}
		return "", nil
	})
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kept := bucket()
	kept.Delete = new(false)
	mc := f.createReady("work", 2, mounts("data", bucket()), mounts("kept", kept))
	data, keptPV := f.bound(mc, "data"), f.bound(mc, "kept")
	assert.Equal(t, corev1.PersistentVolumeReclaimRetain, data.Spec.PersistentVolumeReclaimPolicy)
	assert.Equal(t, "b-1", data.Spec.CSI.VolumeHandle)
	assert.Equal(t, &corev1.SecretReference{Name: "keys", Namespace: f.namespace}, data.Spec.CSI.NodePublishSecretRef)
	assert.Equal(t, "2Gi", data.Spec.Capacity.Storage().String())
	assert.Contains(t, mc.Finalizers, v1alpha2.FinalizerVolumes)

	require.NoError(t, f.miniclusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	f.goes("work")
	f.volumeGoes(data.Name)
	again := f.createReady("work", 1, mounts("data", bucket()), mounts("kept", kept))
	assert.NotEqual(t, data.UID, f.bound(again, "data").UID)
	assert.NotEqual(t, keptPV.UID, f.bound(again, "kept").UID, "a kept volume does not block a new one")

	left, err := f.kube.CoreV1().PersistentVolumes().Get(t.Context(), keptPV.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, keptPV.UID, left.UID)
	assert.Nil(t, left.DeletionTimestamp)
	require.NoError(t, f.miniclusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	f.goes("work")
}

// Volumes of the same name in two namespaces, and in two MiniClusters of one.
func TestVolumesOfTheSameName(t *testing.T) {
	t.Parallel()
	one, two := newFixture(t), newFixture(t)
	a, b := one.createReady("work", 1, mounts("data", bucket())), two.createReady("work", 1, mounts("data", bucket()))
	c := two.createReady("other", 1, mounts("data", bucket()))
	volumes := []*corev1.PersistentVolume{one.bound(a, "data"), two.bound(b, "data"), two.bound(c, "data")}
	require.NoError(t, two.miniclusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	two.volumeGoes(volumes[1].Name)
	one.bound(a, "data")
	two.bound(c, "data")
	one.waitFor("work", one.ready(1))
	two.waitFor("other", two.ready(1))
}

// A MiniCluster with volumes that is deleted while no controller runs waits for a controller. Volumes that were not
// created yet do not matter.
func TestVolumesGoWhenTheControllerComesBack(t *testing.T) {
	// Not parallel: it stops the controller.
	f := newFixture(t)
	mc := f.createReady("work", 1, mounts("data", bucket()))
	pv := f.bound(mc, "data")
	running.halt(t)
	require.NoError(t, f.miniclusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	deleted, err := f.miniclusters().Get(t.Context(), "work", metav1.GetOptions{})
	require.NoError(t, err, "it waits for its volumes")
	assert.NotNil(t, deleted.DeletionTimestamp)
	running.start(t)
	f.goes("work")
	f.volumeGoes(pv.Name)
}

// Directories of the nodes need a flag of the controller. Without it, the MiniCluster reports that, and no object is
// created.
func TestHostPathVolumesNeedAFlag(t *testing.T) {
	// Not parallel: it stops the controller.
	f := newFixture(t)
	f.create("work", 1, mounts("data", v1alpha2.MiniClusterVolume{Path: "/tmp/minicluster-test-data"}))
	refused := f.waitFor("work",
		has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonHostPathNotAllowed, "spec.volumes[data]", "--allow-hostpath-volumes"),
		has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonHostPathNotAllowed))
	f.waitForEvent("work", v1alpha2.ReasonHostPathNotAllowed)
	assert.Empty(t, refused.Finalizers)
	_, err := f.kube.BatchV1().Jobs(f.namespace).Get(t.Context(), "work", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err))

	running.halt(t)
	running.allowHostPath = true
	defer func() {
		running.halt(t)
		running.allowHostPath = false
		running.start(t)
	}()
	running.start(t)
	mc := f.waitFor("work", f.ready(1))
	pv := f.bound(mc, "data")
	assert.Equal(t, "/tmp/minicluster-test-data", pv.Spec.HostPath.Path)
	require.NoError(t, f.miniclusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	f.goes("work")
	f.volumeGoes(pv.Name)
}

// PersistentVolumes need a flag of the controller that names the driver.
func TestVolumesOfOtherDrivers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := bucket()
	other.Driver = "nfs.csi.example"
	f.create("work", 1, mounts("data", other))
	refused := f.waitFor("work",
		has(v1alpha2.ConditionAccepted, metav1.ConditionFalse, v1alpha2.ReasonVolumesNotAllowed, "spec.volumes[data]", "nfs.csi.example",
			"--persistent-volumes", "claimName"),
		has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonVolumesNotAllowed))
	assert.Empty(t, refused.Finalizers)
	require.NoError(t, f.miniclusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	f.goes("work")
}

// Without the permission no finalizer is set, and a MiniCluster that has one is deleted nevertheless,
// with its namespace.
func TestVolumesWithoutPermission(t *testing.T) {
	// Not parallel: it takes the permission away.
	f, with := newFixture(t), newFixture(t)
	pv := with.bound(with.createReady("work", 1, mounts("data", bucket())), "data")
	bindings := f.cluster.Client().RbacV1().ClusterRoleBindings()
	binding, err := bindings.Get(t.Context(), "minicluster-controller-volumes", metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, bindings.Delete(t.Context(), binding.Name, metav1.DeleteOptions{}))
	t.Cleanup(func() {
		binding.ResourceVersion, binding.UID = "", ""
		_, err := bindings.Create(context.Background(), binding, metav1.CreateOptions{})
		require.NoError(t, err)
	})

	f.AwaitRight(t, user.Controller, authorizationv1.ResourceAttributes{Verb: "create", Resource: "persistentvolumes"}, false)
	f.create("work", 1, mounts("data", bucket()))
	mc := f.waitFor("work", has(v1alpha2.ConditionProgressing, metav1.ConditionTrue, v1alpha2.ReasonRetrying, "persistentvolumes", "forbidden"))
	assert.Empty(t, mc.Finalizers)
	require.NoError(t, f.miniclusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	f.goes("work")

	namespaces := f.cluster.Client().CoreV1().Namespaces()
	require.NoError(t, namespaces.Delete(t.Context(), with.namespace, metav1.DeleteOptions{}))
	with.eventually("the namespace to go", func(ctx context.Context) (string, error) {
		if _, err := namespaces.Get(ctx, with.namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return "it is still there", err
		}
		return "", nil
	})
	require.NoError(t, f.kube.CoreV1().PersistentVolumes().Delete(t.Context(), pv.Name, metav1.DeleteOptions{}), "it remains")
}

// An existing claim with the required name is never used: its volume may belong to another user.
func TestForeignClaim(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	foreign, err := f.kube.CoreV1().PersistentVolumeClaims(f.namespace).Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "work.data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: new("mine"),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	f.create("work", 1, mounts("data", bucket()))
	mc := f.waitFor("work", has(v1alpha2.ConditionReady, metav1.ConditionFalse, v1alpha2.ReasonNameConflict, `PersistentVolumeClaim "work.data"`))
	require.NoError(t, f.kube.CoreV1().PersistentVolumeClaims(f.namespace).Delete(t.Context(), foreign.Name, metav1.DeleteOptions{}))
	f.waitFor("work", f.ready(1))
	f.bound(mc, "data")
	require.NoError(t, f.miniclusters().Delete(t.Context(), "work", metav1.DeleteOptions{}))
	f.goes("work")
	pvs, err := f.kube.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{LabelSelector: v1alpha2.LabelMiniClusterUID + "=" + string(mc.UID)})
	require.NoError(t, err)
	assert.False(t, slices.ContainsFunc(pvs.Items, func(pv corev1.PersistentVolume) bool { return pv.DeletionTimestamp == nil }))
}
