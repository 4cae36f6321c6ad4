package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"minicluster.internal/operator/pkg/apis/fluxframework/v1alpha2"
	"minicluster.internal/operator/pkg/controller/messages"
	"minicluster.internal/operator/pkg/controller/resources"
)

// loadFromServer reads the objects of a MiniCluster from the API server, because a cache
// has not shown for some time what it should. What the server returns counts, even if it is
// older than what the controller knew: then it was restored from a backup.
func (c *Controller) loadFromServer(ctx context.Context, key cache.ObjectName, waited time.Duration) (*syncState, error) {
	logger := klog.FromContext(ctx)
	writes := c.consistency.Writes(key)
	s, err := c.loadFrom(ctx, serverReader{c}, key, nil)
	if err != nil {
		return nil, err
	}
	c.consistency.Accept(key, writes)
	if s == nil {
		logger.Info("Read from the API server, because a cache is not up to date: there is nothing to do", "waited", waited)
		return nil, nil
	}
	logger.Info("Read the objects from the API server, because a cache is not up to date", "waited", waited,
		"generation", s.mc.Generation, "resourceVersion", s.mc.ResourceVersion)
	c.events.Eventf(s.mc, nil, corev1.EventTypeWarning, "CacheOutdated", "Read", messages.CacheOutdated, waited.Round(time.Second))
	return s, nil
}

// resetGeneration corrects the record of a Job that got its size from a later MiniCluster
// than there is. While that may be the cache's fault, the sync waits.
func (c *Controller) resetGeneration(ctx context.Context, s *syncState) error {
	if _, fromServer := s.read.(serverReader); !fromServer {
		return stale(miniclusters)
	}
	// The Job was read after the MiniCluster, which may have changed in between.
	mc, err := s.read.miniCluster(ctx, s.key)
	if err != nil {
		return err
	}
	if mc == nil || mc.UID != s.mc.UID || !jobAhead(mc, s.job) {
		return stale(miniclusters)
	}
	recorded := s.job.Annotations[v1alpha2.AnnotationAppliedGeneration]
	s.job, err = patch(ctx, c, s.key, c.kube.BatchV1().Jobs(s.mc.Namespace), jobs, s.job.Name, types.MergePatchType, map[string]any{
		"metadata": map[string]any{
			"uid":         s.job.UID,
			"annotations": map[string]any{v1alpha2.AnnotationAppliedGeneration: resources.FormatGeneration(s.mc.Generation)},
		},
	})
	if err != nil {
		return err
	}
	klog.FromContext(ctx).Info("The Job got its size from a later generation of the MiniCluster, which was restored from a backup",
		"recordedGeneration", recorded, "generation", s.mc.Generation)
	c.events.Eventf(s.mc, nil, corev1.EventTypeWarning, "Restored", "Read", messages.GenerationRestored, recorded, s.mc.Generation)
	return nil
}
