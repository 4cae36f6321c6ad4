package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/resources"
)

// buildClusterVolumes makes the PersistentVolumes and claims of spec.volumes, before there is a
// Job: a Job proves that they were made, and Kubernetes keeps what its pods use. So
// neither has to be watched.
func (c *Controller) clusterVolumes(ctx context.Context, s *syncState) error {
	if s.job != nil || len(s.mc.Spec.Volumes) == 0 {
		return nil
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

func (c *Controller) persistentVolume(ctx context.Context, s *syncState, key string) error {
	wanted, err := resources.BuildPersistentVolume(s.mc, key)
	if err != nil {
		return err
	}
	client := c.kube.CoreV1().PersistentVolumes()
	_, err = client.Create(ctx, wanted, metav1.CreateOptions{FieldManager: fieldManager})
	if !apierrors.IsAlreadyExists(err) {
		return refused("PersistentVolume", wanted.Name, err)
	}
	held, err := client.Get(ctx, wanted.Name, metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("reading PersistentVolume %q, which exists already: %w", wanted.Name, err)
	case held.Labels[v1alpha2.LabelMiniClusterUID] != string(s.mc.UID):
		return &heldError{kind: "PersistentVolume", name: held.Name, holder: "it has no label " + v1alpha2.LabelMiniClusterUID + " with this MiniCluster's UID"}
	case held.DeletionTimestamp != nil:
		return &waitError{message: fmt.Sprintf("waiting for PersistentVolume %q, which is being deleted, to go", held.Name)}
	}
	return nil
}

func (c *Controller) volumeClaim(ctx context.Context, s *syncState, key string) error {
	wanted, err := resources.BuildVolumeClaim(s.mc, key)
	if err != nil {
		return err
	}
	client := c.kube.CoreV1().PersistentVolumeClaims(s.mc.Namespace)
	_, err = client.Create(ctx, wanted, metav1.CreateOptions{FieldManager: fieldManager})
	if !apierrors.IsAlreadyExists(err) {
		return refused("PersistentVolumeClaim", wanted.Name, err)
	}
	held, err := client.Get(ctx, wanted.Name, metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Errorf("reading PersistentVolumeClaim %q, which exists already: %w", wanted.Name, err)
	case !metav1.IsControlledBy(held, s.mc):
		return &heldError{kind: "PersistentVolumeClaim", name: held.Name, holder: describeHolder(held)}
	case held.DeletionTimestamp != nil:
		return &waitError{message: fmt.Sprintf("waiting for PersistentVolumeClaim %q, which is being deleted, to go", held.Name)}
	}
	return nil
}

// refused says what the error of a creation means: what the API server finds invalid
// no retry makes valid.
func refused(kind, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsInvalid(err):
		return &terminalError{reason: v1alpha2.ReasonInvalid, message: fmt.Sprintf("the API server refuses %s %q that the spec describes: %v", kind, name, err)}
	default:
		return fmt.Errorf("creating %s %q: %w", kind, name, err)
	}
}

// addFinalizer makes sure that the MiniCluster can't go without its volumes, before
// there are any. The patch fails if the MiniCluster is not what was looked at, for
// example because it was deleted.
func (c *Controller) addFinalizer(ctx context.Context, s *syncState) error {
	if hasFinalizer(s.mc) {
		return nil
	}
	mc, err := c.patchFinalizers(ctx, s.mc, append(slices.Clone(s.mc.Finalizers), v1alpha2.FinalizerVolumes))
	if apierrors.IsNotFound(err) {
		return &staleError{what: string(miniclusters)}
	}
	if err != nil {
		return fmt.Errorf("adding the finalizer: %w", err)
	}
	c.fresh.wrote(s.key, miniclusters, mc.ResourceVersion)
	s.set(mc)
	return nil
}

func hasFinalizer(mc *v1alpha2.MiniCluster) bool {
	return slices.Contains(mc.Finalizers, v1alpha2.FinalizerVolumes)
}

// finalize deletes the PersistentVolumes of a MiniCluster that is being deleted, and
// then lets it go. Kubernetes keeps a volume until its claim has gone, and a claim
// until the pods that use it have: so nothing has to be waited for here.
func (c *Controller) finalize(ctx context.Context, mc *v1alpha2.MiniCluster) error {
	if !hasFinalizer(mc) {
		return nil
	}
	client := c.kube.CoreV1().PersistentVolumes()
	list, err := client.List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{v1alpha2.LabelMiniClusterUID: string(mc.UID)}.String(),
	})
	if err != nil {
		c.reportForbidden(mc, err)
		return fmt.Errorf("listing the PersistentVolumes of a MiniCluster that is being deleted: %w", err)
	}
	for i := range list.Items {
		pv := &list.Items[i]
		if _, keep := pv.Annotations[v1alpha2.AnnotationKeepVolume]; keep || pv.DeletionTimestamp != nil {
			continue
		}
		err := client.Delete(ctx, pv.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pv.UID}})
		if err := ignoreNotFound(err); err != nil {
			c.reportForbidden(mc, err)
			return fmt.Errorf("deleting PersistentVolume %q: %w", pv.Name, err)
		}
		klog.FromContext(ctx).Info("Deleted a PersistentVolume with its MiniCluster", "persistentVolume", pv.Name)
	}
	left := slices.DeleteFunc(slices.Clone(mc.Finalizers), func(f string) bool { return f == v1alpha2.FinalizerVolumes })
	if _, err := c.patchFinalizers(ctx, mc, left); ignoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer: %w", err)
	}
	return nil
}

// reportForbidden says why a MiniCluster stays while it is being deleted, if somebody has
// to do something about it.
func (c *Controller) reportForbidden(mc *v1alpha2.MiniCluster, err error) {
	if !apierrors.IsForbidden(err) {
		return
	}
	c.events.Eventf(mc, nil, corev1.EventTypeWarning, "VolumesNotDeleted", "Finalize",
		"It stays until its PersistentVolumes are deleted, which the controller may not do: give it the right, or delete those with the label %s=%s and take the finalizer %s away. %v",
		v1alpha2.LabelMiniClusterUID, mc.UID, v1alpha2.FinalizerVolumes, err)
}

func (c *Controller) patchFinalizers(ctx context.Context, mc *v1alpha2.MiniCluster, finalizers []string) (*v1alpha2.MiniCluster, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": mc.UID, "resourceVersion": mc.ResourceVersion, "finalizers": finalizers,
	}})
	if err != nil {
		return nil, fmt.Errorf("encoding a patch: %w", err)
	}
	return c.flux.FluxFrameworkV1alpha2().MiniClusters(mc.Namespace).
		Patch(ctx, mc.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
}
