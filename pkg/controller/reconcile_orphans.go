package controller

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// adoptOrphans adopts the Job and the ConfigMap if they have the labels of the MiniCluster and no owner at all. A
// restore by Velero creates such objects, since it drops owner references, and so does a deletion of the MiniCluster
// that orphans them.
func (c *Controller) adoptOrphans(ctx context.Context, s *syncState) error {
	if s.mc.Status.Finished() {
		return nil
	}
	if job := s.foreignJob; job != nil && resources.IsOrphan(s.mc, job) {
		// Before the adoption: an interrupted sync must not leave a second broker of a rank.
		if err := c.removeOrphanPods(ctx, s, job.UID); err != nil {
			return err
		}
		adopted, err := adoptOrphan(ctx, c, s, c.kube.BatchV1().Jobs(s.mc.Namespace), jobs, job, map[string]string{
			v1alpha2.AnnotationAppliedGeneration: resources.FormatGeneration(s.mc.Generation),
		})
		if err != nil {
			return err
		}
		s.job, s.foreignJob = adopted, nil
	}
	if configMap := s.foreignConfigMap; configMap != nil && resources.IsOrphan(s.mc, configMap) {
		adopted, err := adoptOrphan(ctx, c, s, c.kube.CoreV1().ConfigMaps(s.mc.Namespace), configmaps, configMap, nil)
		if err != nil {
			return err
		}
		s.configMap, s.foreignConfigMap = adopted, nil
	}
	return nil
}

// adoptOrphan makes the MiniCluster the controller of an orphan.
func adoptOrphan[T metav1.Object](ctx context.Context, c *Controller, s *syncState, client patcher[T], r cachedResource, orphan T,
	annotations map[string]string,
) (T, error) {
	// A MiniCluster that is deleted without its objects must not adopt them: they would be deleted.
	if err := c.checkExists(ctx, s); err != nil {
		var none T
		return none, err
	}
	metadata := map[string]any{"uid": orphan.GetUID(), "ownerReferences": []metav1.OwnerReference{*resources.ControllerReference(s.mc)}}
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	adopted, err := patch(ctx, c, s.key, client, r, orphan.GetName(), types.StrategicMergePatchType, map[string]any{"metadata": metadata})
	if err != nil {
		return adopted, err
	}
	klog.FromContext(ctx).Info("Adopted an object of this MiniCluster that had no owner", "kind", r.kind(), "name", orphan.GetName())
	c.events.Eventf(s.mc, related(r, adopted), corev1.EventTypeNormal, "Adopted", "Adopt", messages.Adopted, r.kind(), orphan.GetName())
	return adopted, nil
}

// related refers to an object in an event, without its resource version: the recorder counts events only if they are
// about the same objects.
func related(r cachedResource, o metav1.Object) *corev1.ObjectReference {
	version := "v1"
	if r == jobs {
		version = batchv1.SchemeGroupVersion.String()
	}
	return &corev1.ObjectReference{APIVersion: version, Kind: r.kind(), Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID()}
}

// removeOrphanPods deletes the pods of an earlier Job that have no owner, so that nothing else deletes them. Beside
// those of the Job with the given UID, a rank would have two brokers.
func (c *Controller) removeOrphanPods(ctx context.Context, s *syncState, job types.UID) error {
	var orphans []podRef
	err := c.eachPod(ctx, s.mc, resources.PodSelector(s.mc), func(pod *corev1.Pod) {
		if isOrphanPod(pod, job) {
			orphans = append(orphans, podRef{pod.Name, pod.UID})
		}
	})
	if err != nil {
		return err
	}
	return c.deleteOrphanPods(ctx, s, orphans)
}

// podRef identifies a pod.
type podRef struct {
	name string
	uid  types.UID
}

// isOrphanPod reports whether a pod has no owner, and does not belong to the Job with the given UID, "" for none:
// Kubernetes' Job controller adopts orphans of its Job.
func isOrphanPod(pod *corev1.Pod, job types.UID) bool {
	return len(pod.OwnerReferences) == 0 && pod.DeletionTimestamp == nil && (job == "" || pod.Labels[batchv1.ControllerUidLabel] != string(job))
}

func (c *Controller) deleteOrphanPods(ctx context.Context, s *syncState, orphans []podRef) error {
	if len(orphans) == 0 {
		return nil
	}
	if err := c.checkExists(ctx, s); err != nil {
		return err
	}
	names := make([]string, 0, len(orphans))
	for _, pod := range orphans {
		err := c.kube.CoreV1().Pods(s.mc.Namespace).Delete(ctx, pod.name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.uid}})
		if ignoreNotFound(err) != nil {
			return fmt.Errorf("deleting pod %q of an earlier Job: %w", pod.name, err)
		}
		names = append(names, pod.name)
	}
	klog.FromContext(ctx).Info("Deleted pods of an earlier Job that had no owner", "pods", len(names))
	c.events.Eventf(s.mc, nil, corev1.EventTypeWarning, "OrphanPodsDeleted", "Adopt", "%s", messages.OrphanPodsDeleted(names))
	return nil
}

// veleroRestoreLabel is the label that Velero adds to what it restores.
const veleroRestoreLabel = "velero.io/restore-name"

// isRestored reports whether a MiniCluster was restored, so that pods of an earlier one may have been restored as well.
func isRestored(mc *v1alpha2.MiniCluster) bool { return mc.Labels[veleroRestoreLabel] != "" }
