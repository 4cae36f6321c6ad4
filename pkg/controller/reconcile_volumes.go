package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// forbiddenGrace is how long a MiniCluster that is being deleted waits for the permission
// to delete its PersistentVolumes. After that it leaves them behind: an administrator took
// the permission away, and namespaces must not wait for it forever.
const forbiddenGrace = 30 * time.Second

// volumes creates the PersistentVolumes and claims of spec.volumes before the Job. An existing Job proves that they
// were created, and Kubernetes keeps volumes that pods use, so the controller does not have to watch them.
func (c *Controller) volumes(ctx context.Context, s *syncState) error {
	if s.job != nil || len(s.mc.Spec.Volumes) == 0 {
		return nil
	}
	if !hasFinalizer(s.mc) {
		if err := c.mayCreateVolumes(ctx, s); err != nil {
			return err
		}
	}
	if err := c.addFinalizer(ctx, s); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(s.mc.Spec.Volumes)) {
		if err := c.persistentVolume(ctx, s, key); err != nil {
			return err
		}
		if err := c.volumeClaim(ctx, s, key); err != nil {
			return err
		}
	}
	return nil
}

// mayCreateVolumes returns an error if the controller has no permission to create
// PersistentVolumes: a MiniCluster without any can be deleted at once, and so can its
// namespace. Any other problem is reported when they are created.
func (c *Controller) mayCreateVolumes(ctx context.Context, s *syncState) error {
	key := slices.Min(slices.Collect(maps.Keys(s.mc.Spec.Volumes)))
	wanted, err := resources.BuildPersistentVolume(s.mc, key)
	if err != nil {
		return err
	}
	_, err = c.kube.CoreV1().PersistentVolumes().Create(ctx, wanted, metav1.CreateOptions{
		FieldManager: fieldManager, DryRun: []string{metav1.DryRunAll},
	})
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("creating PersistentVolume %q: %w", wanted.Name, err)
	}
	return nil
}

func (c *Controller) persistentVolume(ctx context.Context, s *syncState, key string) error {
	wanted, err := resources.BuildPersistentVolume(s.mc, key)
	if err != nil {
		return err
	}
	_, _, err = createOwned(ctx, c, s, c.kube.CoreV1().PersistentVolumes(), persistentVolumes, wanted, ownership[*corev1.PersistentVolume]{
		owned: func(pv *corev1.PersistentVolume) bool {
			return pv.Labels[v1alpha2.LabelMiniClusterUID] == string(s.mc.UID)
		},
		conflict: func(pv *corev1.PersistentVolume) error {
			return nameConflict(persistentVolumes.kind(), pv.Name, fmt.Sprintf(messages.NoUIDLabel, v1alpha2.LabelMiniClusterUID), "")
		},
	})
	return volumeError(persistentVolumes, wanted.Name, err)
}

func (c *Controller) volumeClaim(ctx context.Context, s *syncState, key string) error {
	wanted, err := resources.BuildVolumeClaim(s.mc, key)
	if err != nil {
		return err
	}
	client := c.kube.CoreV1().PersistentVolumeClaims(s.mc.Namespace)
	_, _, err = createOwned(ctx, c, s, client, persistentVolumeClaims, wanted, ownership[*corev1.PersistentVolumeClaim]{
		// A claim that was restored without owner is used, and stays: its data are worth more than the MiniCluster.
		owned: func(claim *corev1.PersistentVolumeClaim) bool {
			return metav1.IsControlledBy(claim, s.mc) || resources.IsOrphan(s.mc, claim)
		},
	})
	return volumeError(persistentVolumeClaims, wanted.Name, err)
}

func volumeError(r cachedResource, name string, err error) error {
	if apierrors.IsInvalid(err) {
		return invalidObject(fmt.Sprintf("%s %q that the spec describes", r.kind(), name), err)
	}
	return err
}

// addFinalizer makes sure that the MiniCluster cannot be deleted without its volumes, before it creates any. The
// patch fails if the MiniCluster is not the one that was read, for example because it was deleted.
func (c *Controller) addFinalizer(ctx context.Context, s *syncState) error {
	if hasFinalizer(s.mc) {
		return nil
	}
	mc, err := c.patchFinalizers(ctx, s.mc, append(slices.Clone(s.mc.Finalizers), v1alpha2.FinalizerVolumes))
	if err != nil {
		return fmt.Errorf("adding the finalizer: %w", err)
	}
	s.setMiniCluster(mc)
	return nil
}

func hasFinalizer(mc *v1alpha2.MiniCluster) bool {
	return slices.Contains(mc.Finalizers, v1alpha2.FinalizerVolumes)
}

// finalize deletes the PersistentVolumes of a MiniCluster that is being deleted, and then removes the finalizer.
// Kubernetes keeps a volume until its claim is deleted, and a claim until the pods that use it are deleted, so the
// controller does not have to wait.
func (c *Controller) finalize(ctx context.Context, mc *v1alpha2.MiniCluster) error {
	if !hasFinalizer(mc) {
		return nil
	}
	if err := c.deleteVolumes(ctx, mc); err != nil {
		if !apierrors.IsForbidden(err) {
			return err
		}
		if left := forbiddenGrace - c.clock.Since(mc.DeletionTimestamp.Time); left > 0 {
			c.enqueueAfter(cache.MetaObjectToName(mc), left)
			return err
		}
		c.events.Eventf(mc, nil, corev1.EventTypeWarning, "VolumesNotDeleted", "Finalize", messages.VolumesNotDeleted,
			v1alpha2.LabelMiniClusterUID, mc.UID, err)
		klog.FromContext(ctx).Info("Left the PersistentVolumes of a deleted MiniCluster behind", "uid", mc.UID, "reason", err.Error())
	}
	others := slices.DeleteFunc(slices.Clone(mc.Finalizers), func(f string) bool { return f == v1alpha2.FinalizerVolumes })
	if _, err := c.patchFinalizers(ctx, mc, others); err != nil {
		return fmt.Errorf("removing the finalizer: %w", err)
	}
	return nil
}

// deleteVolumes deletes the PersistentVolumes of a MiniCluster that are not to be kept.
func (c *Controller) deleteVolumes(ctx context.Context, mc *v1alpha2.MiniCluster) error {
	client := c.kube.CoreV1().PersistentVolumes()
	list, err := client.List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{v1alpha2.LabelMiniClusterUID: string(mc.UID)}.String(),
	})
	if err != nil {
		return fmt.Errorf("listing the PersistentVolumes of a MiniCluster that is being deleted: %w", err)
	}
	for i := range list.Items {
		pv := &list.Items[i]
		if _, keep := pv.Annotations[v1alpha2.AnnotationKeepVolume]; keep || pv.DeletionTimestamp != nil {
			continue
		}
		err := client.Delete(ctx, pv.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pv.UID}})
		if ignoreNotFound(err) != nil {
			return fmt.Errorf("deleting PersistentVolume %q: %w", pv.Name, err)
		}
		klog.FromContext(ctx).Info("Deleted a PersistentVolume with its MiniCluster", "persistentVolume", pv.Name)
	}
	return nil
}

func (c *Controller) patchFinalizers(ctx context.Context, mc *v1alpha2.MiniCluster, finalizers []string) (*v1alpha2.MiniCluster, error) {
	client := c.flux.FluxFrameworkV1alpha2().MiniClusters(mc.Namespace)
	return patch(ctx, c, cache.MetaObjectToName(mc), client, miniclusters, mc.Name, types.MergePatchType, map[string]any{
		"metadata": map[string]any{"uid": mc.UID, "resourceVersion": mc.ResourceVersion, "finalizers": finalizers},
	})
}
